"""A copy of this checkout in which the workflow can run without touching the runs and the book of this one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Checkout:
    """`first` is how the first run of the whole workflow, from nothing, went."""

    root: Path
    first: subprocess.CompletedProcess[str]

    @property
    def html(self) -> Path:
        return self.root / "build" / "_build" / "html"

    def snakemake(self, *arguments: str, profile: str = "smoke") -> subprocess.CompletedProcess[str]:
        return snakemake(self.root, *arguments, profile=profile)

    def planned(self) -> set[str]:
        """The rules that would run now."""
        done = self.snakemake("--dry-run")
        assert done.returncode == 0, done.stdout
        stats = re.search(r"^Job stats:\n(.*?)^total ", done.stdout, re.DOTALL | re.MULTILINE)
        if stats is None:
            assert "Nothing to be done" in done.stdout
            return set()
        return {line.split()[0] for line in stats[1].splitlines()[2:]} - {"all"}


def snakemake(root: Path, *arguments: str, profile: str = "smoke") -> subprocess.CompletedProcess[str]:
    """Run the workflow; its messages are in `stdout`."""
    command = [BIN / "snakemake", "--workflow-profile", "workflow/profiles/local", *arguments]
    return run(root, *command, "--config", f"profile={profile}")


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """What `make` does in this checkout, with the environment of the tests taken as it is."""
    command = ["make", "--no-print-directory", "--assume-old=.venv/.installed", f"BIN={BIN}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def run(root: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("AGM_HOME", "PYTHONPATH")}
    return subprocess.run(
        list(map(str, command)),
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1800,
    )


def copy(target: Path) -> None:
    """Copy what git tracks, and what is new and not ignored."""
    listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stdout
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # not if it was deleted and that is not committed yet
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
