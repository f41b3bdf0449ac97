"""Compare two sets of runs, such as one's own and the recorded ones: run by run and claim by claim."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from agm.errors import AgmError
from agm.files import finite
from agm.runs import Run, all_runs
from study import profiles
from study.aggregate import diverged, words
from study.claims.comparisons import Interval
from study.claims.ledger import CLAIMS
from study.claims.verdicts import Finding, evaluate, gather, planned, recipe
from study.profiles import Profile


@dataclass(frozen=True)
class Pair:
    """A run of A beside the run of the same configuration in B. Test metrics are averaged over the iterations.

    `mse`, `psnr` (dB), `first_ms` and `last_ms` (until the first and the last image), `seconds` (of training): A, B.
    `ratio`: A's MSE over B's. `interval`: of the ratio, 95 %, over test images; None without values of each image.
    """

    id: str
    what: str
    status: tuple[str, str]
    mse: tuple[float, float]
    ratio: float
    interval: Interval | None
    psnr: tuple[float, float]
    first_ms: tuple[float, float]
    last_ms: tuple[float, float]
    seconds: tuple[float, float]
    note: str


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`. `findings`: of each claim, in A and in B."""

    profile: str
    pairs: tuple[Pair, ...]
    only_a: int
    only_b: int
    findings: tuple[tuple[Finding, Finding], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        claims = [
            {"key": a.claim.key, "a": a.to_dict(), "b": b.to_dict(), "agree": agree(a, b)} for a, b in self.findings
        ]
        counts = {"only_a": self.only_a, "only_b": self.only_b}
        runs = [{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(pair).items()} for pair in self.pairs]
        whole: dict[str, Any] = finite({"profile": self.profile, "runs": runs, **counts, "claims": claims})
        return whole


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
    pairs = tuple(pair(first[id_], second[id_]) for id_ in common)
    findings = zip(*(evaluate(CLAIMS, gather(chosen, None, folder)) for folder in (a, b)), strict=True)
    return Comparison(chosen.name, pairs, len(first) - len(common), len(second) - len(common), tuple(findings))


def pair(a: Run, b: Run) -> Pair:
    """Two runs of the same configuration. Raises AgmError if a summary is damaged."""

    def both(measure: Callable[[Run], float]) -> tuple[float, float]:
        return float(measure(a)), float(measure(b))

    try:
        mse, note = both(lambda run: run.test().mean()), _note(a, b)
        return Pair(
            id=a.config.id,
            what=f"{words(a.config)}, seed {a.config.seed}",
            status=(a.summary["status"], b.summary["status"]),
            mse=mse,
            ratio=mse[0] / mse[1],
            interval=None if note else _interval(a, b),
            psnr=both(lambda run: run.test("psnr").mean()),
            first_ms=both(lambda run: 1000 * run.summary["seconds_until_iteration"][0]),
            last_ms=both(lambda run: 1000 * run.summary["seconds_until_iteration"][-1]),
            seconds=both(lambda run: run.summary["seconds"]),
            note=note,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        folders = f"{a.folder} or {b.folder}"
        raise AgmError(f"{folders}: damaged, its summary.json lacks something ({error}); restore it") from None


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


def _interval(a: Run, b: Run) -> Interval | None:
    """Bootstrap interval (95 %) of the ratio of mean errors over paired test images."""
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
    return float(found.low), float(found.high)


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
