"""The library's commands. `study.cli` adds the study's; `python -m agm` has these alone."""

from __future__ import annotations

import io
import logging
import sys

import typer

from agm.cli import data, evaluate, export, upscale
from agm.errors import AgmError, enough_memory


def register(commands: typer.Typer) -> None:
    """Add the library's commands."""
    for command in (upscale.upscale, export.export, evaluate.evaluate, evaluate.params):
        commands.command()(command)
    commands.add_typer(data.commands, name="data")


def run(commands: typer.Typer) -> None:
    """Mistakes the user can mend become one line on standard error and exit code 1."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        with enough_memory("end other programs, or take smaller images or fewer of them"):
            commands()
    except AgmError as error:
        typer.echo(f"agm: {error}", err=True)
        sys.exit(1)
