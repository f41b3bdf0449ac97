"""Side-by-side measurements: run them from the project's root."""
