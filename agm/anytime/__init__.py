"""The paper's promise in use: a picture by the deadline, and a better one if there is time."""
