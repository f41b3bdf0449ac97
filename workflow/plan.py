"""What the Snakefile needs to know: how runs are cut into jobs, and which modules a notebook uses. No torch here."""

from __future__ import annotations

import ast
import json
import math
from functools import cache
from pathlib import Path

import agm
from agm import experiments, profiles
from agm.config import RunConfig
from agm.cost import cost
from agm.errors import AgmError
from agm.profiles import Profile

PACKAGE = Path(agm.__file__).parent

SHOWN: dict[str, dict[str, dict[str, str]]] = {
    "cpu": {
        "table1": {"seeds": "0,1,2,3,4,5"},
        "fig4": {},
        "fig5": {},
        "fig6": {},
        "fig7": {},
        "fig8": {"measure": "False"},
        "fig9": {"measure": "False"},
        "order": {},
        "statistics": {},
    },
    "reduced": {"table1": {}, "fig8": {"measure": "False"}, "fig9": {"measure": "False"}, "order": {}},
}
"""Notebooks that are executed once more for recorded runs: profile -> notebook -> parameters. Times are as recorded."""

SHORTEST_MINUTES = 10
"""Less is not worth starting torch for."""


def training_jobs(profile: Profile, recorded: set[str]) -> list[list[RunConfig]]:
    """The profile's runs in portions of `runs_per_job`, since starting torch takes longer than a short run.

    They keep the order in which experiments need them, so that a new experiment leaves the portions before it alone.
    """
    runs = [run for run in experiments.plan_all(experiments.EXPERIMENTS, profile) if run.id not in recorded]
    size = profile.runs_per_job
    return [runs[start : start + size] for start in range(0, len(runs), size)]


def recorded(notebook: str, profile: str, summaries: dict[str, str]) -> list[str]:
    """The recorded summaries that one of SHOWN needs. Raises AgmError if one is missing.

    `summaries`: run id -> its recorded summary.
    """
    fields = experiments.overrides(SHOWN[profile][notebook], ["measure"])
    runs = experiments.plan(notebook, profiles.load(profile), **fields)
    missing = [run.id for run in runs if run.id not in summaries]
    if missing:
        raise AgmError(f"{len(missing)} runs of {notebook} are not recorded under profile {profile}: {missing[0]} ...")
    return [summaries[run.id] for run in runs]


def minutes(jobs: list[list[RunConfig]], limit: int) -> list[int]:
    """How long each training job may take, if the longest may take `limit` minutes; 0 sets no limit.

    In proportion to `cost`, so that short jobs fit into gaps. A job that takes longer stops, and goes on in another.
    """
    costs = [sum(map(cost, runs)) for runs in jobs]
    longest = max(costs, default=0.0)
    return [min(limit, max(SHORTEST_MINUTES, math.ceil(limit * own / longest))) for own in costs]


def modules_of(notebook: Path) -> list[Path]:
    """The files of `agm` that a notebook imports, directly or through one another."""
    if not notebook.exists():
        return []  # Snakemake says that it is missing
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    return imported("\n".join(line for line in lines if not line.lstrip().startswith(("%", "!"))))


def imported(source: str) -> list[Path]:
    """The files of `agm` that a Python source imports, directly or through one another."""
    queue = list(_imported(source))
    found: set[Path] = set()
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += _imported(path.read_text())
    return sorted(found)


@cache
def _imported(source: str) -> set[Path]:
    """The files of `agm` behind the import statements of a source, wherever in it they stand."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files: set[Path] = set()
    for name in names:
        first, *rest = name.split(".")
        if first == "agm":  # importing agm.figures.curves runs agm and agm.figures too
            files |= {PACKAGE.joinpath(*rest[:depth], "__init__.py") for depth in range(len(rest) + 1)}
            files.add(PACKAGE.joinpath(*rest).with_suffix(".py"))
    return {path for path in files if path.is_file()}
