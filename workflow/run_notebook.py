"""Papermill with a net: a notebook that hangs is ended, and one that failed is no result.

Run a notebook:                         python workflow/run_notebook.py notebooks/fig4.ipynb out.ipynb -p profile smoke
See whether all these ran to their end: python workflow/run_notebook.py --check book/notebooks/*.ipynb
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from agm import files
from agm.errors import AgmError
from study.status import INPUTS, note


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="a notebook and where to write it, executed")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for the whole notebook")
    parser.add_argument("--title", default="", help="what its title says in brackets")
    parser.add_argument("--check", action="store_true", help="run nothing, look at executed notebooks")
    parser.add_argument("--inputs", nargs="*", default=[], help="files it is made from, for `agm status`")
    parser.add_argument("--note", type=Path, help="run nothing, write the hashes of the inputs into this JSON file")
    given = parser.parse_args(arguments)
    if not given.check and not given.note and len(given.notebooks) != 2:
        parser.error("expected a notebook and where to write it, executed")
    try:
        if given.note:
            files.write_json(given.note, note(given.inputs))
        elif given.check:
            for path in given.notebooks:
                check(path)
        else:
            source, target = given.notebooks
            execute(source, target, dict(given.p), given.timeout, given.inputs, given.title)
    except AgmError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def execute(
    source: Path, target: Path, parameters: dict[str, str], timeout: float, inputs: Sequence[str] = (), title: str = ""
) -> None:
    """Raises AgmError for a failed cell, or a notebook that took longer than `timeout`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "papermill", str(source), str(target)]
    command += [text for name, value in parameters.items() for text in ("-p", name, value)]
    command += ["--kernel", "python3", "--cwd", ".", "--no-progress-bar"]
    try:  # a kernel notices that papermill is gone, and ends itself
        status = subprocess.run(command, timeout=timeout).returncode
    except subprocess.TimeoutExpired:
        raise AgmError(f"{source}: ended after {timeout:g} seconds") from None
    if status != 0:
        raise AgmError(f"{source}: failed; {target} shows where")
    check(target)
    executed = json.loads(target.read_text())
    executed["metadata"][INPUTS] = note(inputs)
    if title:  # a notebook that is shown several times needs a name of its own in searches and on "next"
        heading, *rest = executed["cells"][0]["source"]
        executed["cells"][0]["source"] = [f"{heading.rstrip()} ({title})\n", *rest]
    files.write_json(target, executed)


def check(path: Path) -> None:
    """Raises AgmError if a notebook did not run to its end, which the book's builder would not mind."""
    try:
        executed = json.loads(path.read_text())["metadata"]["papermill"]
    except (OSError, ValueError, KeyError):
        raise AgmError(f"{path}: is no notebook that papermill executed") from None
    if executed["exception"] or not executed["end_time"]:
        raise AgmError(f"{path}: did not run to its end; delete it, so that it is executed again")


if __name__ == "__main__":
    sys.exit(main())
