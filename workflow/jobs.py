"""Plans for the Snakefile: cuts runs into jobs, and finds the modules that a notebook uses. No torch here."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

from safetensors import SafetensorError

from agm import files
from agm.code_version import changed, file_hash, imported, kind_of_network, representative
from agm.config import RunConfig
from agm.errors import AgmError
from agm.paths import CHECKPOINT, SUMMARY
from study import experiments, profiles
from study.cost import cost
from study.profiles import Profile

SHOWN: dict[str, dict[str, dict[str, str]]] = {
    "cpu": {
        "table1": {"seeds": "0,1,2,3,4,5"},
        "fig4": {"seeds": "0,1,2"},
        "fig5": {},
        "fig6": {"seeds": "0,1,2"},
        "fig7": {},
        "fig8": {"seeds": "0,1,2", "measure": "False"},
        "fig9": {"seeds": "0,1,2", "measure": "False"},
        "order": {"seeds": "0,1,2"},
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
    """Time limit of each training job in minutes, if the longest job has `limit` minutes; 0 sets no limit.

    In proportion to `cost`, so that short jobs fit into gaps. A job that takes longer stops, and goes on in another.
    """
    costs = [sum(map(cost, runs)) for runs in jobs]
    longest = max(costs, default=0.0)
    return [min(limit, max(SHORTEST_MINUTES, math.ceil(limit * own / longest))) for own in costs]


def modules_of(notebook: Path) -> list[Path]:
    """The project's modules that a notebook imports, directly or through one another."""
    lines = _code(notebook).splitlines()
    return imported("\n".join(line for line in lines if not line.lstrip().startswith(("%", "!"))))


def figures_of(notebook: Path) -> list[str]:
    """The names under which a notebook saves figures."""
    return re.findall(r'style\.save\(\w+, "(\w+)"', _code(notebook))


def _code(notebook: Path) -> str:
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    return "\n".join("".join(cell["source"]) for cell in cells)


def made_with(runs: list[RunConfig], manifests: list[str]) -> list[str]:
    """The codes and data that training depends on besides the configurations. A change means training again."""
    codes = [representative(kind) for kind in sorted({kind_of_network(run.generator) for run in runs})]
    return codes + [file_hash(Path(path)) for path in manifests]


def stale(jobs: list[list[RunConfig]], manifests: list[str]) -> str:
    """The folders of runs, begun or finished, that say that they are from other code or images than today's."""
    images = {Path(path).parent.name: _fingerprint(Path(path).with_name("card.yml")) for path in manifests}
    folders = {f"build/runs/{run.id}": run for run in itertools.chain(*jobs)}
    return " ".join(folder for folder, run in folders.items() if _is_stale(Path(folder), run, images))


def _is_stale(folder: Path, run: RunConfig, images: dict[str, str]) -> bool:
    try:
        code, made_on = _origin(folder)
    except (AgmError, SafetensorError, KeyError, ValueError):
        return False  # `agm train` says what is wrong with it
    expected = images.get(run.data.dataset)
    other_code = code and changed(code, kind_of_network(run.generator))
    return bool(other_code or (made_on and expected and made_on != expected))


def _origin(folder: Path) -> tuple[str, str]:
    """The code and the fingerprint of the images of a run; nothing where there is none yet."""
    if (folder / SUMMARY).exists():
        summary = files.read_json(folder / SUMMARY)
        return summary["machine"]["code"], summary["data"]["fingerprint"]
    if not (folder / CHECKPOINT).exists():
        return "", ""
    progress = files.read_meta(folder / CHECKPOINT)["progress"]
    return "+".join(progress["codes"]), progress["images"]


def _fingerprint(card: Path) -> str:
    """Fingerprint of a prepared set's images by its card; empty if an older card has none."""
    return str(files.read_yaml(card).get("fingerprint", "")) if card.exists() else ""
