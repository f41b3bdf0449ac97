"""Choose a trained network: by name, or the best of those whose weights are here."""

from __future__ import annotations

import contextlib
from pathlib import Path

from agm.config import NATURAL
from agm.errors import AgmError
from agm.paths import SUMMARY, WEIGHTS, results_folder, runs_folder, weights_of
from agm.runs import Run


def weights(model: str | Path | None = None) -> Path:
    """The weights file of a model: a weights file, a run's folder or a run's id.

    By default, of the recorded runs that have their weights, one trained on natural photographs; among several, the one
    whose images gain most PSNR over bicubic on its own validation images, in the mean over the iterations and with
    statistics per iteration. Where none is recorded, the same among the runs made here.
    Raises AgmError if there is none.
    """
    if model is None:
        return _best()
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # no path at all: too long, no such user, a NUL
        path = Path(model).expanduser()
        if path.is_dir():
            path = path / WEIGHTS
        if path.is_file():
            return path
        if Path(model).name == str(model) and (found := weights_of(str(model))):
            return found
    raise AgmError(f"{model}: no weights there; expected a {WEIGHTS}, or the folder or the id of a run with one")


def _best() -> Path:
    for pattern, root in (("*/*", results_folder()), ("*", runs_folder())):
        folders = (path.parent for path in sorted(root.glob(f"{pattern}/{WEIGHTS}")))
        runs = [Run.read(folder) for folder in folders if (folder / SUMMARY).is_file()]
        if runs:
            natural = [run for run in runs if run.config.data.dataset == NATURAL]
            return max(natural or runs, key=_gain).folder / WEIGHTS
    raise AgmError(f"no trained weights in {results_folder()} or {runs_folder()}; name some with --model, or agm train")


def _gain(run: Run) -> float:
    """dB over bicubic; a run without it comes last."""
    try:
        gain = float(run.curve("psnr", "iteration").iloc[-1]) - run.bicubic("psnr", "validation")
    except (AgmError, IndexError):
        return float("-inf")
    return gain if gain == gain else float("-inf")
