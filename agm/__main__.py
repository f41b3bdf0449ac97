"""`python -m agm`: the library's commands. The installed command `agm` has the study's too."""

import typer

from agm import cli

commands = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=cli.__doc__)
cli.register(commands)

if __name__ == "__main__":
    cli.run(commands)
