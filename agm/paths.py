"""The folders of data, runs and recorded results, all below one project folder."""

from __future__ import annotations

import os
from pathlib import Path


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
