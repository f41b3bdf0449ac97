"""`python -m study` is the command `agm`, for a Python that has not installed it."""

from study.cli import app

if __name__ == "__main__":
    app()
