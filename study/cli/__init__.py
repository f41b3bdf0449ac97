"""The command line, `agm --help`: the study's commands and the library's."""

from __future__ import annotations

import typer

import agm.cli
from study.cli import claims, train

commands = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Adaptive generative modeling: train, evaluate and compare recurrent super-resolution generators.",
)
for command in (train.train, train.runs, train.status, claims.claims):
    commands.command()(command)
agm.cli.register(commands)


def app() -> None:
    """Entry point."""
    agm.cli.run(commands)
