"""From runs to verdicts. The rule:

- A claim says where a number must lie, its `Range`. The number comes with a 95 % interval. *Supported* means that the
  whole interval lies inside, *contradicted* that it lies outside, *inconclusive* anything else: the interval straddles
  the margin, a run that matters is missing or diverged, there is no interval, or there are fewer seeds than it needs.
- A claim may consist of several comparisons. Each is judged by itself; with k of them each interval has a confidence of
  1 - 0.05/k (Bonferroni). If all must hold, one that is contradicted decides; if one suffices, one that is supported.
- Margins follow from the words, never from the runs. "Better", "worse", "sooner", "earlier": by any amount. "Much",
  "significantly", "critical": by at least a tenth, the distance between the largest and the smallest error of Table I.
  "Slightly": by less than that. "About half": 0.4 to 0.6. A printed error: within a tenth. A printed count or
  percentage: to the last digit printed. "Not worse": by 1 % at most. A trend, whatever its word: Kendall's tau above 0.
- Margins have stayed as they were when verdicts were first computed. It is no preregistration: the first recorded runs
  were there before. The number of seeds that chance in training asks for was raised later, from three to six.
- Errors are MSE on test images, averaged over the iterations (III-A2). Intervals are paired over the images, and over
  the seeds where there are several. With one seed a verdict holds for these trained networks, and says so.
- What is one number per run (the shape of a learning curve, a time, an error of which only the mean was kept) tells
  nothing about its own chance. Such claims need six seeds: by chance all of five fall on the same side once in sixteen
  times, all of six once in thirty-two, which is rarer than one in twenty. So does the question whether an order
  survives, since neighbours change places from seed to seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agm import profiles
from agm.claims import bootstrap
from agm.claims.bootstrap import Interval
from agm.claims.evidence import Evidence, UndecidableError
from agm.claims.predicates import Counted, Measured, Part, Predicate
from agm.config import DataConfig, GeneratorConfig, RunConfig, Statistics, TrainingConfig
from agm.experiments import plan
from agm.files import finite
from agm.paths import results_folder
from agm.profiles import Profile
from agm.runs import Run, all_runs

Verdict = Literal["supported", "contradicted", "inconclusive"]
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive")


SEVERAL = 6
"""Seeds that a claim needs where chance in training decides."""


@dataclass(frozen=True)
class Range:
    """Where a number must lie for a claim to hold, ends excluded."""

    low: float = -math.inf
    high: float = math.inf

    def judge(self, interval: Interval) -> Verdict:
        low, high = interval
        if self.low < low and high < self.high:
            return "supported"
        return "contradicted" if high < self.low or low > self.high else "inconclusive"

    def slack(self, value: float) -> float:
        """How far inside a number lies, negative outside."""
        return min(value - self.low, self.high - value)


@dataclass(frozen=True)
class Claim:
    """A checkable statement of the paper. It has no room for a verdict: that is always computed.

    `where`: the notebook of the figure or table that it belongs to. `needs`: the fewest seeds to judge it by.
    `full_size`: only runs of the paper's width, picture size and epochs can tell.
    """

    key: str
    text: str
    section: str
    published: str
    where: str
    predicate: Predicate
    holds: Range
    needs: int = 1
    full_size: bool = False


@dataclass(frozen=True)
class Outcome:
    """One comparison: its number, interval and verdict, and what they rest on."""

    label: str
    verdict: Verdict
    value: float | None = None
    interval: Interval | None = None
    seeds: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """A claim's verdict under a profile; `outcome` is the comparison that decides, or comes closest to it."""

    claim: Claim
    verdict: Verdict
    outcome: Outcome
    outcomes: tuple[Outcome, ...]

    @property
    def reason(self) -> str:
        """Why there is no verdict, or what it does not cover; empty if there is nothing to say."""
        if self.verdict == "inconclusive":
            missing = [outcome.reason for outcome in self.outcomes if outcome.value is None]
            return self.outcome.reason or next(iter(missing), "")
        seeds = len(self.outcome.seeds)
        return {0: "", 1: "one seed: holds for these networks"}.get(seeds, f"{seeds} seeds")

    @property
    def runs(self) -> tuple[str, ...]:
        """The ids of all runs that were looked at."""
        return tuple(dict.fromkeys(run for outcome in self.outcomes for run in outcome.runs))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        claim = self.claim
        named = {name: getattr(claim, name) for name in ("key", "text", "section", "published", "where", "needs")}
        found: dict[str, Any] = {"verdict": self.verdict, "reason": self.reason, "value": self.outcome.value}
        found |= {"interval": _listed(self.outcome), "holds": [claim.holds.low, claim.holds.high]}
        parts = [asdict(outcome) | {"interval": _listed(outcome)} for outcome in self.outcomes]
        seeds = list(self.outcome.seeds)
        whole: dict[str, Any] = finite(named | found | {"seeds": seeds, "runs": list(self.runs), "parts": parts})
        return whole


def _listed(outcome: Outcome) -> list[float] | None:
    return None if outcome.interval is None else list(outcome.interval)


def evaluate(claims: Sequence[Claim], evidence: Evidence) -> list[Finding]:
    """The verdict on each claim, from finished runs."""
    return [judge(claim, evidence) for claim in claims]


def judge(claim: Claim, evidence: Evidence) -> Finding:
    """Judge each comparison of a claim, then the claim."""
    predicate = claim.predicate
    if isinstance(predicate, Counted):
        number = predicate.count()
        outcome = Outcome("counted", claim.holds.judge((number, number)), number, (number, number))
        return Finding(claim, outcome.verdict, outcome, (outcome,))
    short = evidence.below_the_paper() if claim.full_size else ""
    confidence = 1 - 0.05 / len(predicate.parts)
    outcomes = tuple(compare(part, claim, evidence, confidence, short) for part in predicate.parts)
    verdict = combine([outcome.verdict for outcome in outcomes], predicate.any)
    return Finding(claim, verdict, _decisive(outcomes, verdict, claim, predicate), outcomes)


def compare(part: Part, claim: Claim, evidence: Evidence, confidence: float, short: str = "") -> Outcome:
    """One comparison. `short`: why the runs cannot tell, whatever they show."""
    try:
        stack = evidence.stack(part.quantities)
    except UndecidableError as problem:
        return Outcome(part.label, "inconclusive", reason=str(problem))
    with np.errstate(divide="ignore", invalid="ignore"):  # a number that is not finite gives a reason below
        value = float(part.statistic(stack.values.mean(axis=(1, 2))))
        interval = bootstrap.interval(stack.values, part.statistic, confidence)
    needs = claim.needs if stack.values.shape[2] > 1 else max(claim.needs, SEVERAL)
    reason = short or _doubt(value, interval, len(stack.seeds), needs)
    verdict: Verdict = "inconclusive"
    if not reason and interval is not None:
        verdict = claim.holds.judge(interval)
        reason = "the interval straddles the margin" if verdict == "inconclusive" else ""
    return Outcome(part.label, verdict, value, interval, stack.seeds, stack.runs, reason)


def _doubt(value: float, interval: Interval | None, seeds: int, needs: int) -> str:
    """Why a number decides nothing; empty if it may."""
    if not math.isfinite(value):
        return "all are equal, or zero"
    if seeds < needs:
        return f"{seeds} of {needs} seeds"
    return "" if interval and all(map(math.isfinite, interval)) else "some resamples are all equal, or zero"


def combine(verdicts: Sequence[Verdict], any_: bool) -> Verdict:
    """All must be supported, or any: with what is inconclusive taken as either (Kleene's logic)."""
    decided: Verdict = "supported" if any_ else "contradicted"
    other: Verdict = "contradicted" if any_ else "supported"
    if decided in verdicts:
        return decided
    return other if verdicts and all(verdict == other for verdict in verdicts) else "inconclusive"


def _decisive(outcomes: Sequence[Outcome], verdict: Verdict, claim: Claim, predicate: Measured) -> Outcome:
    """Of the comparisons with the claim's verdict the one that matters: the weakest if all must hold, or the best."""
    same = [outcome for outcome in outcomes if outcome.verdict == verdict]
    measured = [outcome for outcome in same if outcome.value is not None and math.isfinite(outcome.value)]
    if not measured:
        return same[0]
    pick = max if predicate.any else min
    return pick(measured, key=lambda outcome: claim.holds.slack(outcome.value or 0.0))


Recipe = tuple[GeneratorConfig, DataConfig, TrainingConfig]
"""A configuration without its seed."""


def recipe(config: RunConfig) -> Recipe:
    return config.generator, config.data, config.training


def planned(profile: Profile) -> set[Recipe]:
    """What a profile plans for the claims."""
    return {recipe(config) for config in plan("claims", profile)}


def gather(profile: Profile, statistics: Statistics | None = None, root: Path | None = None) -> Evidence:
    """The finished runs that a profile plans, with whatever seed; by default those made here and recorded ones."""
    wanted, found = planned(profile), dict[str, Run]()
    for run in all_runs(root):
        if recipe(run.config) in wanted:
            found.setdefault(run.config.id, run)
    return Evidence(found.values(), profile, statistics)


def recorded() -> dict[str, Evidence]:
    """The evidence that travels with the project, by the profile under which it was recorded."""
    found = {name: gather(profiles.load(name), None, results_folder() / name) for name in profiles.names()}
    return {name: evidence for name, evidence in found.items() if evidence.runs}
