"""`python -m study` is `agm`, for launchers that start Python modules, such as torchrun."""

from study.cli import app

if __name__ == "__main__":
    app()
