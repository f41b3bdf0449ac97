"""From runs to verdicts. The rule:

- A claim says where a number must lie, its `Range`. *Supported*: shown to lie there. *Contradicted*: shown not to.
  *Inconclusive*: tested, and neither. *Untested*: there is nothing to test, because a run that matters is missing or
  diverged, is made on stand-ins, or has too few seeds: with one seed a number is about these networks only.
- A number is one per seed. Ratios are tested as logarithms, by Student's t; margins on both sides by two one-sided
  tests; epochs by ranks, those that were never reached last; placement by Tukey's studentized range. Between
  networks, how much seeds scatter is pooled over all networks of a profile. See `comparisons`.
- A claim may consist of several comparisons. If all must hold, each must be shown to, and one that is shown not to
  decides, its p-value times their number; if one suffices, the other way round.
- Of all claims that were tested with the same runs, and of all tested with the same timing, chance decides any with a
  probability of at most 0.05 (Holm). Intervals are of single comparisons, 95 %.
- Margins follow from the words. "Better", "worse", "sooner", "earlier": by any amount. "Much", "significantly",
  "critical": by at least a tenth, the distance between the largest and the smallest error of Table I. "Slightly": by
  less than that. "About half": 0.4 to 0.6. A printed error: within a tenth. A printed count or percentage: to the last
  digit printed. "Not worse": by 1 % at most.
- It is no preregistration: the rule was changed after verdicts were there (the book's page on claims lists how).
- Claims about time are replicated by timing, not by training: rounds in which all networks take turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import stats

from agm.config import DataConfig, GeneratorConfig, RunConfig, Statistics, TrainingConfig
from agm.paths import results_folder
from agm.runs import Run, all_runs
from study import aggregate, profiles
from study.claims.comparisons import Counted, Interval, Measured, Part, Predicate, Range
from study.claims.evidence import TIMES, Array, Evidence, Noise, UndecidableError
from study.experiments import plan
from study.profiles import Profile

Verdict = Literal["supported", "contradicted", "inconclusive", "untested"]
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive", "untested")

LEVEL = 0.05
"""The highest accepted probability that chance decides any of the claims."""


@dataclass(frozen=True)
class Claim:
    """A checkable statement of the paper. Its verdict is not stored but computed.

    `where`: the notebook of its figure or table. `holds`: the range of numbers that support it. `full_size`: only runs
    with the paper's width, image size and epochs can decide it.
    """

    key: str
    section: str
    where: str
    published: str
    text: str
    predicate: Predicate
    holds: Range
    full_size: bool = False

    @property
    def basis(self) -> Literal["count", "times", "runs"]:
        """The kind of evidence it is judged by."""
        if isinstance(self.predicate, Counted):
            return "count"
        return "times" if self.predicate.parts[0].quantities[0].measure in TIMES else "runs"


@dataclass(frozen=True)
class Outcome:
    """The outcome of one comparison: number, interval, p-values (see `Tested`), and the seeds behind them.

    `bound`: "at least " where the number is only known to be that (`Part.bound`).
    """

    label: str
    value: float | None = None
    interval: Interval | None = None
    holds: float = math.nan
    fails: float = math.nan
    seeds: tuple[int, ...] = ()
    reason: str = ""
    bound: str = ""

    @property
    def tested(self) -> bool:
        return math.isfinite(self.holds)


@dataclass(frozen=True)
class Finding:
    """A claim's verdict. `outcome`: the comparison that decides it or, if none does, the closest one.

    `p`: after Holm's correction; NaN if nothing was tested. `beside`: the same comparison in this library's engine,
    for claims about time.
    """

    claim: Claim
    verdict: Verdict
    outcome: Outcome
    outcomes: tuple[Outcome, ...]
    p: float = math.nan
    beside: Outcome | None = None

    @property
    def reason(self) -> str:
        """The evidence in words, or why there is no verdict."""
        if self.claim.basis == "count":
            return ""
        if self.verdict == "untested":
            return self.outcome.reason or next((outcome.reason for outcome in self.outcomes if outcome.reason), "")
        return f"{len(self.outcome.seeds)} {'rounds' if self.claim.basis == 'times' else 'seeds'}, p = {self.p:.2g}"


def evaluate(claims: Sequence[Claim], evidence: Evidence) -> list[Finding]:
    """Judge each claim by finished runs and a timing, with Holm's correction for the number of claims."""
    examined = [(claim, examine(claim, evidence)) for claim in claims]
    sides = [combine(claim.predicate, outcomes) for claim, outcomes in examined]
    p = np.array([2 * min(side) for side in sides])
    for basis in ("runs", "times"):
        family = np.array([claim.basis == basis for claim in claims], dtype=bool)
        p[family] = holm(p[family])
    return [
        conclude(claim, outcomes, side, float(own), evidence)
        for (claim, outcomes), side, own in zip(examined, sides, p, strict=True)
    ]


def holm(p: Array) -> Array:
    """Holm's correction (1979). NaN stands for no test and is not counted."""
    order = np.argsort(p)[: np.isfinite(p).sum()]
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted


def smallest_ratio(noise: Noise, seeds: int, tests: int) -> float:
    """The smallest ratio of two networks that is shown four times out of five, if it decides the first of the claims.

    noise: see `Evidence.noise`; seeds: of each network; tests: how many claims Holm's correction counts.
    """
    quantiles = stats.t.ppf([1 - LEVEL / tests / 2, 0.8], noise.freedom)
    return math.exp(float(quantiles.sum()) * noise.spread * math.sqrt(2 / seeds))


def examine(claim: Claim, evidence: Evidence) -> tuple[Outcome, ...]:
    """The outcomes of a claim's comparisons; empty for a counted number."""
    if isinstance(claim.predicate, Counted):
        return ()
    short = evidence.below_the_paper() if claim.full_size else ""
    return tuple(compare(part, claim, evidence, short=short) for part in claim.predicate.parts)


def compare(part: Part, claim: Claim, evidence: Evidence, implementation: str = "plain", short: str = "") -> Outcome:
    """Make one comparison. `short`: a reason why the runs cannot decide it, whatever they show."""
    try:
        stack = evidence.stack(part.quantities, implementation)
    except UndecidableError as problem:
        return Outcome(part.label, reason=str(problem))
    with np.errstate(divide="ignore", invalid="ignore"):  # a number that is not finite gives a reason below
        value = part.value(stack.values)
    bound = part.bound(stack.values, stack.epochs)
    reason = short or stack.short or ("" if 0 < value < math.inf else "all are equal, or zero")
    if reason:
        shown = value if math.isfinite(value) else None
        return Outcome(part.label, shown, seeds=stack.seeds, reason=reason, bound=bound)
    found = part.test(stack.values, claim.holds, stack.noise)
    tested = found.interval, found.holds, found.fails
    return Outcome(part.label, value, *tested, stack.seeds, bound=bound)


def combine(predicate: Predicate, outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """The p-values of "it does not hold" and "it holds"; NaN if nothing was tested.

    Where all comparisons are needed, the largest p-value counts, or 1 if one was not tested. Where one suffices, the
    smallest counts, times their number.
    """
    tested = [outcome for outcome in outcomes if outcome.tested]
    if not tested or isinstance(predicate, Counted):
        return math.nan, math.nan
    needs_one, needs_all = ([o.holds for o in tested], [o.fails for o in tested])
    if not predicate.any:
        needs_one, needs_all = needs_all, needs_one
    one = min(1.0, len(outcomes) * min(needs_one))
    every = max(needs_all) if len(tested) == len(outcomes) else 1.0
    return (one, every) if predicate.any else (every, one)


def conclude(
    claim: Claim, outcomes: tuple[Outcome, ...], sides: tuple[float, float], p: float, evidence: Evidence
) -> Finding:
    """Derive the verdict, and choose the comparison that shows it."""
    predicate = claim.predicate
    if isinstance(predicate, Counted):
        number = predicate.count()
        inside = claim.holds.low < number < claim.holds.high
        return Finding(claim, "supported" if inside else "contradicted", Outcome("counted", number), ())
    verdict: Verdict = "supported" if sides[0] < sides[1] else "contradicted"
    if not p <= LEVEL:
        verdict = "inconclusive" if all(outcome.tested for outcome in outcomes) else "untested"
    outcome = _decisive(outcomes, verdict, claim.holds, predicate)
    beside = None
    if claim.basis == "times":
        beside = compare(predicate.parts[outcomes.index(outcome)], claim, evidence, "engine")
    return Finding(claim, verdict, outcome, outcomes, p, beside)


def _decisive(outcomes: Sequence[Outcome], verdict: Verdict, holds: Range, predicate: Measured) -> Outcome:
    """The comparison that decides. If none does: the weakest where all must hold, the best where one suffices."""
    tested = [outcome for outcome in outcomes if outcome.tested]
    if verdict == ("supported" if predicate.any else "contradicted"):
        return min(tested, key=lambda outcome: outcome.holds if predicate.any else outcome.fails)
    open_ = [outcome for outcome in outcomes if not outcome.tested] if verdict == "untested" else outcomes
    measured = [outcome for outcome in open_ if outcome.value is not None]
    if not measured:
        return open_[0]
    pick = max if predicate.any else min
    return pick(measured, key=lambda outcome: holds.slack(outcome.value or 0.0))


Recipe = tuple[GeneratorConfig, DataConfig, TrainingConfig]
"""A configuration without its seed."""


def recipe(config: RunConfig) -> Recipe:
    return config.generator, config.data, config.training


def planned(profile: Profile) -> set[Recipe]:
    """The configurations that a profile plans for the claims."""
    return {recipe(config) for config in plan("claims", profile)}


def gather(profile: Profile, statistics: Statistics | None = None, root: Path | None = None) -> Evidence:
    """The finished runs that a profile plans, with any seed; by default runs made here and recorded ones."""
    wanted, found = planned(profile), dict[str, Run]()
    for run in all_runs(root):
        if recipe(run.config) in wanted:
            found.setdefault(run.config.id, run)
    return Evidence(found.values(), profile, statistics)


def recorded() -> dict[tuple[str, Statistics], Evidence]:
    """(profile, kind of statistics) -> the recorded evidence."""
    found = {}
    for profile in map(profiles.load, profiles.names()):
        runs = gather(profile, root=results_folder() / profile.name).runs
        for reading in aggregate.both(runs) if runs else ():
            found[profile.name, reading] = Evidence(runs, profile, reading)
    return found
