"""The folders of data, runs and recorded results, all below one project folder, and the files of a run."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from agm.errors import AgmError

CONFIG, METRICS_FILE, TEST_FILE, WEIGHTS = "config.json", "metrics.csv", "test.safetensors", "generator.safetensors"
CHECKED = (CONFIG, METRICS_FILE, TEST_FILE, WEIGHTS)
"""The files of a run whose checksums stand in its summary."""
SUMMARY = "summary.json"
"""It is written last: a run that has one is complete."""
CHECKPOINT = "checkpoint.safetensors"

DEFAULT = "9025314fd43d"
"""The recorded run whose network is used by default: it was trained on photographs of anything."""


def home() -> Path:
    """The project folder: $AGM_HOME, else the nearest folder upwards with a `_config.yml`, else the one that this
    package lies in, where that is a checkout, else the current one.
    """
    if "AGM_HOME" in os.environ:
        return Path(os.environ["AGM_HOME"])
    here, checkout = Path.cwd(), Path(__file__).parents[1]
    found = (folder for folder in (here, *here.parents, checkout) if (folder / "_config.yml").is_file())
    return next(found, here)


def data_folder() -> Path:
    return home() / "data"


def runs_folder() -> Path:
    """Runs made on this machine."""
    return home() / "build" / "runs"


def results_folder() -> Path:
    """Recorded runs, which travel with the project."""
    return home() / "results"


def run_roots() -> list[Path]:
    """The folders that have a folder for each run: made on this machine, then recorded."""
    return [runs_folder(), *sorted(results_folder().glob("*/"))]


def weights_of(run: str) -> Path | None:
    """The weights file of a run by its id, made on this machine or recorded; None where there is none."""
    return next((path for root in run_roots() if (path := root / run / WEIGHTS).is_file()), None)


def weights(model: str | Path | None = None) -> Path:
    """The weights file of a model: a weights file, a run's folder or a run's id; None is DEFAULT.

    Raises AgmError if there is none.
    """
    model = DEFAULT if model is None else model
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # no path at all: too long, no such user, a NUL
        path = Path(model).expanduser()
        if path.is_dir():
            path = path / WEIGHTS
        if path.is_file():
            return path
        if Path(model).name == str(model) and (found := weights_of(str(model))):
            return found
    raise AgmError(f"{model}: no weights there; expected a {WEIGHTS}, or the folder or the id of a run with one")
