"""The study of the paper: what is asked of the networks, and the answers."""
