"""Compare two sets of runs, such as one's own and the recorded ones: run by run and claim by claim."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from agm.errors import AgmError
from agm.runs import Run, all_runs
from study import profiles
from study.aggregate import diverged, words
from study.claims.ledger import CLAIMS
from study.claims.verdicts import Finding, evaluate, gather, planned, recipe
from study.profiles import Profile

MEASURES: dict[str, Callable[[Run], float]] = {
    "MSE": lambda run: run.test().mean(),
    "PSNR": lambda run: run.test("psnr").mean(),
    "first/ms": lambda run: 1000 * run.summary["seconds_until_iteration"][0],
    "all/ms": lambda run: 1000 * run.summary["seconds_until_iteration"][-1],
    "training/s": lambda run: run.summary["seconds"],
}
"""Measures of a run: test errors averaged over the iterations, times until the first and the last image, training."""


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`. `runs`: a `row` for each run in both. `findings`: of each claim, in A and in B."""

    profile: str
    runs: pd.DataFrame
    only_a: int
    only_b: int
    findings: tuple[tuple[Finding, Finding], ...]


def agree(a: Finding, b: Finding) -> bool | None:
    """True for equal verdicts, False for opposite ones, None if at least one of them decides nothing."""
    if a.verdict == b.verdict:
        return True
    return False if {a.verdict, b.verdict} == {"supported", "contradicted"} else None


def compare(a: Path, b: Path, profile: str | None = None) -> Comparison:
    """Compare two folders of run folders. `profile`: whose runs judge the claims; by default the best match.

    Raises AgmError if a folder holds no runs or damaged ones, or if no run is in both.
    """
    first, second = _read(a), _read(b)
    common = [id_ for id_ in first if id_ in second]
    if not common:
        raise AgmError(f"{a} and {b} have no run in common: runs are the same if their configurations are")
    chosen = profiles.load(profile) if profile else _fitting([first[id_] for id_ in common])
    rows = pd.DataFrame([row(first[id_], second[id_]) for id_ in common])
    findings = zip(*(evaluate(CLAIMS, gather(chosen, None, folder)) for folder in (a, b)), strict=True)
    return Comparison(chosen.name, rows, len(first) - len(common), len(second) - len(common), tuple(findings))


def row(a: Run, b: Run) -> dict[str, Any]:
    """Two runs of the same configuration: MEASURES of both, and A's MSE over B's with its interval.

    The interval is of 95 %, over test images; in its place stands why there is none. Raises AgmError if a summary is
    damaged.
    """
    try:
        found = {name: (float(measure(a)), float(measure(b))) for name, measure in MEASURES.items()}
        ratio, interval = found["MSE"][0] / found["MSE"][1], _note(a, b) or _interval(a, b)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        folders = f"{a.folder} or {b.folder}"
        raise AgmError(f"{folders}: damaged, its summary.json lacks something ({error}); restore it") from None
    shown: dict[str, Any] = {"run": f"{words(a.config)}, seed {a.config.seed}", "MSE A/B": ratio, "95 %": interval}
    for name, (of_a, of_b) in found.items():
        shown |= {f"{name} A": of_a, f"{name} B": of_b}
    return shown


def _note(a: Run, b: Run) -> str:
    """Why the errors of two runs cannot be paired; empty if they can."""
    if diverged(a) or diverged(b):
        return "diverged"
    if a.summary["data"]["fingerprint"] != b.summary["data"]["fingerprint"]:
        return "other images: the data sets differ"
    images = a.errors(), b.errors()
    if images[0] is None or images[1] is None:
        return "no values of single images"
    return "" if images[0].shape == images[1].shape else "another number of test images"


def _interval(a: Run, b: Run) -> str:
    """Bootstrap interval (95 %) of the ratio of mean errors over paired test images, as text."""
    images = [found.mean(axis=0) for run in (a, b) if (found := run.errors()) is not None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # where all ratios are equal, so are the ends
        found = stats.bootstrap(
            images,
            lambda x, y, axis: x.mean(axis) / y.mean(axis),
            paired=True,
            vectorized=True,
            batch=250,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
    return f"[{found.low:.3f}, {found.high:.3f}]"


def _read(folder: Path) -> dict[str, Run]:
    """The finished runs of a folder by id. Raises AgmError if there are none."""
    if not folder.is_dir():
        raise AgmError(f"{folder}: there is no such folder")
    runs = {run.config.id: run for run in all_runs(folder)}
    if not runs:
        raise AgmError(f"{folder}: no finished runs in it; name a folder of run folders, such as build/runs")
    return runs


def _fitting(runs: Sequence[Run]) -> Profile:
    """The profile that plans most of these runs."""
    loaded = [profiles.load(name) for name in profiles.names()]
    wanted = {recipe(run.config) for run in runs}
    return max(loaded, key=lambda profile: len(wanted & planned(profile)))
