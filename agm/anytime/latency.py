"""Latency of an iteration: measured per activation mask and image size, kept up to date."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from agm.anytime.stepper import AGAIN, Stepper, iterate, masks_of
from agm.schedule import Mask, Schedule
from agm.training.evaluate import durations

Clock = Callable[[], float]

FINISH = "finish"
"""Turning the network's numbers into an image, beside the iterations themselves."""
MARGIN = 1.1
"""A prediction is at least this many medians, however steady the measurements were."""
RECENT = 16
"""Number of recent durations of this process that correct the predictions."""


@dataclass(frozen=True)
class Span:
    """Seconds: the median, and what 95 and 99 of 100 stay below."""

    p50: float
    p95: float
    p99: float


Table = Mapping[str, Mapping[int, Span]]
"""activity -> input pixels -> seconds."""


def activity(mask: Mask, t: int) -> str:
    """Name of an iteration's work: its active layers. The first one includes part A, and its states are still zero."""
    if mask == AGAIN:
        return "again"
    letters = "".join("x" if active else "-" for active in mask)
    return letters if t else f"first {letters}"


def activities(schedule: Schedule) -> set[str]:
    return {FINISH, *(activity(mask, t) for t, mask in enumerate(schedule.masks))}


class Times:
    """Predicts durations from a table, and corrects it by what is observed.

    A prediction is the median for that many pixels times a safety margin: the larger of the table's p99 / p50 and the
    95th percentile of observed / p50 over the last durations in this process. So a machine that is slower than when
    the table was made is noticed after one iteration; one that is faster is not trusted.
    """

    def __init__(self, table: Table) -> None:
        self.table = {name: dict(sorted(rows.items())) for name, rows in table.items() if rows}
        self._ratios: deque[float] = deque(maxlen=RECENT)

    def predict(self, name: str, pixels: int) -> float:
        """Seconds that suffice for an activity on so many input pixels; infinity if it was never measured."""
        if name not in self.table:
            return math.inf
        median, high = self._at(name, pixels, "p50"), self._at(name, pixels, "p99")
        recent = float(np.quantile(self._ratios, 0.95)) if self._ratios else 0.0
        return max(high, MARGIN * median, recent * median)

    def observe(self, name: str, pixels: int, seconds: float) -> None:
        """Take notice of how long an iteration really took."""
        if name in self.table:
            self._ratios.append(seconds / max(self._at(name, pixels, "p50"), 1e-9))

    def _at(self, name: str, pixels: int, which: str) -> float:
        """Interpolated by pixels; in proportion to them beyond the largest size, the smallest's time below it."""
        rows = self.table[name]
        sizes, seconds = list(rows), [getattr(span, which) for span in rows.values()]
        return float(np.interp(pixels, sizes, seconds)) * max(1.0, pixels / sizes[-1])


@torch.inference_mode()
def measure(
    stepper: Stepper,
    schedules: Iterable[Schedule],
    sizes: Sequence[int],
    rounds: int,
    limit: float,
    device: torch.device,
    clock: Clock = time.perf_counter,
) -> dict[str, dict[int, Span]]:
    """Durations of all that schedules do, on square inputs with these sides, after one round of warm-up.

    Per size at most `rounds` rounds, fewer, but at least three, once `limit` seconds are over.
    """
    table: dict[str, dict[int, Span]] = defaultdict(dict)
    for schedule in schedules:
        names = [*(activity(mask, t) for t, mask in enumerate(masks_of(stepper, schedule))), FINISH]
        if set(names) <= table.keys():
            continue
        for size in sizes:
            x = torch.full((1, 3, size, size), 0.5, device=device)
            taken = durations({"": partial(_work, stepper, schedule)}, x, range(rounds + 1), limit, clock=clock)[""]
            for name in dict.fromkeys(names):
                seconds = [row[i] for row in taken for i, own in enumerate(names) if own == name]
                table[name][size * size] = Span(*np.quantile(seconds, (0.5, 0.95, 0.99)).tolist())
    return table


def _work(stepper: Stepper, schedule: Schedule, x: Tensor) -> Iterator[Tensor]:
    """The image of each iteration, and the last one once more, as numbers of 8 bits."""
    for image in iterate(stepper, schedule, x):
        yield image
    yield image.clamp(0, 1).mul(255).round().byte()[0].permute(1, 2, 0).contiguous().cpu()
