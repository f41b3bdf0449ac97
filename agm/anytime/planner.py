"""Choose a schedule and a number of iterations: the best expected picture by a deadline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pandas as pd

from agm.anytime.latency import FINISH, Times, activities, activity
from agm.config import Statistics
from agm.errors import AgmError
from agm.runs import Run
from agm.schedule import Schedule

Scores = Mapping[Schedule, Sequence[float]]
"""Expected PSNR of each schedule's images, dB."""


@dataclass(frozen=True)
class Planner:
    """Chooses by scores. `bicubic`: the score of no iteration at all."""

    scores: Scores
    bicubic: float

    @classmethod
    def of(cls, run: Run, statistics: Statistics) -> Planner:
        """Scores of all candidates on the validation images of a run that was trained with sampled schedules. Raises
        AgmError if it has none."""
        try:
            stored = run.summary["schedules"][run.kind(statistics)]
            # What was not finite is no number here.
            lists = {text: pd.Series(list(row), dtype=float).fillna(-math.inf) for text, row in stored.items()}
            scores = {Schedule.parse(text): row.tolist() for text, row in lists.items()}
            bicubic = run.bicubic("psnr", "validation")
        except (KeyError, TypeError, ValueError, AttributeError):
            scores, bicubic = {}, 0.0
        if not any(scores.values()):
            raise AgmError(f"{run.folder}: no validation scores to plan by; name a schedule")
        return cls(scores, bicubic)

    @property
    def best(self) -> Schedule:
        """The schedule with the best image of all."""
        return max(self.scores, key=lambda schedule: max(self.scores[schedule]))

    def plan(self, times: Times, tiles: Sequence[int], seconds: float, most: int | None = None) -> Schedule | None:
        """The schedule, cut after the iteration with the best score of all that are done within so many seconds.

        `tiles`: input pixels of each; `most`: the largest number of iterations. Of equal scores the one that is there
        first is taken. None: nothing that fits is better than bicubic upsampling.
        """
        costs = _costs(self.scores, times, tiles)
        best: tuple[float, float, Schedule | None] = (-self.bicubic, 0.0, None)
        for schedule, scores in self.scores.items():
            durations = (costs[activity(mask, t)] for t, mask in enumerate(schedule))
            needs = list(accumulate(durations, initial=costs[FINISH]))[1:]  # seconds until each image is there
            for n, (score, need) in enumerate(zip(scores[:most], needs, strict=False), 1):
                if need <= seconds and (-score, need) < best[:2]:
                    best = (-score, need, schedule.take(n))
        return best[2]


def _costs(schedules: Iterable[Schedule], times: Times, tiles: Sequence[int]) -> dict[str, float]:
    """Predicted seconds of every activity over all tiles; most tiles have the same size."""
    sizes = Counter(tiles).items()
    names = {name for schedule in schedules for name in activities(schedule)}
    costs = {name: sum(count * times.predict(name, pixels) for pixels, count in sizes) for name in names}
    return costs | {FINISH: times.predict(FINISH, sum(tiles))}
