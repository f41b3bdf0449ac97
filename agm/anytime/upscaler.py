"""Upscaling against a deadline: an iteration is begun only if it will be over in time."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agm import paths
from agm.anytime import tiles
from agm.anytime.engine.engine import Engine
from agm.anytime.engine.parts import missing
from agm.anytime.latency import FINISH, MARGIN, Clock, Times, activity, measure
from agm.anytime.pixels import AnyImage, Pixels
from agm.anytime.planner import Planner
from agm.anytime.stepper import Mirrored, Plain, Stepper, Twice, held_bytes, masks_of
from agm.anytime.tiles import LEAST, OVERLAP, Tile
from agm.config import GeneratorConfig, RunConfig, Statistics
from agm.errors import AgmError
from agm.machine import synchronize
from agm.runs import Run, load_trained
from agm.schedule import Mask, Schedule

logger = logging.getLogger(__name__)

TILE = 128
"""Default side of a tile in input pixels, its overlap included; with the lighter base half of GROUP_BYTES decides."""
GROUP_BYTES = 256 * 2**20
"""Memory that the tiles of a group may hold between iterations, in bytes."""
WARM_UP = {"paper": (8, 24), "light": (8, 96)}
"""Sides of the inputs that are timed."""


@dataclass(frozen=True)
class Result:
    """An image twice as high and wide, and how it came about.

    `iteration`: the last one that was finished, all over the image; 0 is bicubic upsampling, one more than the schedule
    has is the second look. `elapsed`: seconds since the call. Of `upscale` alone: `durations`, the seconds of each
    iteration; `met`, whether it was there by the deadline; `schedule`, what was meant to be done, None if bicubic
    upsampling was.
    """

    image: AnyImage
    iteration: int
    elapsed: float
    deadline: float | None = None
    durations: tuple[float, ...] = ()
    schedule: Schedule | None = None

    @property
    def met(self) -> bool:
        return self.deadline is None or self.elapsed <= self.deadline


class AnytimeUpscaler:
    """A trained network as a tool: the first picture fast, better ones as time allows.

    An image that is larger than a tile is cut into overlapping tiles. All tiles of a group reach an iteration before
    any of them begins the next; a group is as many tiles as may be held in memory between iterations. Where there
    are several groups, each in turn gets a share of the time left, by its pixels, and the result's iteration is that of
    the slowest group.
    """

    def __init__(
        self,
        stepper: Stepper,
        config: GeneratorConfig,
        schedule: Schedule,
        times: Times,
        tile: int | None = None,
        device: torch.device | str = "cpu",
        clock: Clock = time.perf_counter,
        planner: Planner | None = None,
        faithful: bool = False,
    ) -> None:
        """With a planner, every call gets a schedule of its own; `schedule` is then what `stream` shows.

        `faithful`: what `upscale` returns has the colours of what it was given, whatever the network makes of them.
        """
        self.stepper, self.config, self.schedule, self.times = stepper, config, schedule, times
        self.planner, self.faithful, self.device, self._clock = planner, faithful, torch.device(device), clock
        self.schedules = tuple(planner.scores) if planner else (schedule,)  # all that may be run
        self._mending = 0.0  # seconds that `faithful` adds for each input pixel
        self.group_pixels = GROUP_BYTES // held_bytes(config, self.schedules)  # of tiles, held between iterations
        default = max(LEAST, math.isqrt(self.group_pixels // 2)) if config.base == "light" else TILE
        self.tile = default if tile is None else tile
        if self.tile < LEAST:
            raise AgmError(f"tile={self.tile}: must be at least {LEAST} pixels, {OVERLAP} on each side are overlap")

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        statistics: Statistics = "iteration",
        schedule: str | Schedule | None = None,
        tile: int | None = None,
        device: torch.device | str = "cpu",
        timed: bool = True,
        faithful: bool = False,
        second_look: bool = True,
    ) -> AnytimeUpscaler:
        """A network by its weights file, run folder or run id; by default, `agm.paths.DEFAULT`.

        `statistics`: batch-norm statistics per iteration by default, without which the first images are spoilt (the
        book's chapter on statistics). `schedule`: the one the network was trained with by default; "auto" plans one
        for every call by the run's validation scores, and is the default for networks trained with sampled schedules.
        `timed`: measure for about a second, so that deadlines can be kept. `faithful`: a tool for pictures, with the
        input's colours and without a frame, and not only what the network gives. `second_look`: after the last
        iteration `stepper.Twice`, if the network was trained on turned crops and no schedule is planned. Raises
        AgmError if weights, schedule or statistics do not fit.
        """
        weights = paths.weights(path)
        generator, config = load_trained(weights)
        generator.to(device)
        planner = _planner(weights, config, schedule, statistics)
        plan = generator.resolve(planner.best if planner else schedule or config.training.schedule)
        engine = torch.device(device).type == "cpu"  # on a GPU it was not measured
        if engine and (lacking := missing(generator)):
            logger.warning("%s: on plain torch, which is slower: the engine has no %s", weights, lacking)
            engine = False
        stepper: Stepper = Engine(generator, statistics) if engine else Plain(generator, statistics)
        faithful = faithful and generator.config.base == "paper"  # the lighter base keeps colours by itself
        stepper = Mirrored(stepper) if faithful else stepper
        if second_look and config.data.crops and planner is None:
            stepper = Twice(stepper, plan)
        upscaler = cls(stepper, generator.config, plan, Times({}), tile, device, planner=planner, faithful=faithful)
        if timed:
            upscaler._know_times()
        return upscaler

    def _know_times(self) -> None:
        self.times = Times(measure(self.stepper, self.schedules, WARM_UP[self.config.base], 10, 0.5, self.device))
        if self.faithful:
            sample = Pixels.of(np.tile(np.arange(256, dtype=np.uint8), (256, 1)))
            begun = time.perf_counter()
            sample.mend(255 - sample.bicubic())
            self._mending = MARGIN * (time.perf_counter() - begun) * 3 / sample.height / sample.width

    def upscale(
        self,
        image: AnyImage,
        deadline: float | None = None,
        iterations: int | None = None,
        watch: Callable[[float], object] = lambda share: None,
    ) -> Result:
        """The best image by the deadline, or after so many iterations, or at the end of the schedule; with a planner,
        the best that is expected by the deadline and within so many iterations.

        `image`: a Pillow image or an array (H, W) or (H, W, C), uint8, uint16 or floats in [0, 1]; the result is of the
        same kind. `deadline`: seconds from this call to its return; reading and writing files is not included. Bicubic
        is always made, even if it is late. `watch` is told which share of the work, overlaps counted twice, has been
        done. Raises AgmError for what is no image.
        """
        started = self._clock()
        self.check(deadline, iterations)
        end = math.inf if deadline is None else started + deadline
        pixels = Pixels.of(image)
        out, area = pixels.bicubic(), pixels.height * pixels.width
        end -= self._mending * area
        groups = self._groups(pixels)
        schedule = self._plan(groups, end, iterations)
        masks = masks_of(self.stepper, schedule)[:iterations] if schedule else ()
        reached, durations = len(masks), [0.0] * len(masks)
        sizes = [sum(tile.pixels for tile in group) for group in groups]
        for number, (group, size) in enumerate(zip(groups, sizes, strict=True)):
            begun, left = self._clock(), sum(sizes[number:])
            seconds = end - self.times.predict(FINISH, left) - begun
            limit = math.inf if deadline is None else begun + seconds * size / left
            images, done = list[Tensor](), 0
            for done, better in enumerate(self._images(group, pixels, masks, limit), 1):
                images = better
                durations[done - 1] += self._clock() - begun
                begun = self._clock()
                watch(size / (area * len(masks)))
            pixels.place(out, group, images)
            reached = min(reached, done)
        if self.faithful and reached:
            pixels.mend(out)
        finished = pixels.restore(out)
        return Result(finished, reached, self._clock() - started, deadline, tuple(durations[:reached]), schedule)

    def stream(self, image: AnyImage) -> Iterator[Result]:
        """Yield every image with its iteration and the seconds since the call: bicubic as 0, then each iteration's.

        An image whose tiles cannot all be held in memory comes only as bicubic and after its last iteration.
        """
        started = self._clock()
        masks = masks_of(self.stepper, self.schedule)
        pixels = Pixels.of(image)
        out = pixels.bicubic()

        def streamed(t: int) -> Result:
            return Result(pixels.restore(out.copy()), t, self._clock() - started)

        yield streamed(0)
        groups = self._groups(pixels)
        for group in groups:
            for t, images in enumerate(self._images(group, pixels, masks), 1):
                last = t == len(masks)
                if len(groups) == 1 or last:
                    pixels.place(out, group, images)
                if len(groups) == 1 or (last and group is groups[-1]):
                    yield streamed(t)

    def check(self, deadline: float | None, iterations: int | None) -> None:
        """Raises AgmError if `upscale` would refuse them."""
        if deadline is not None and not 0 < deadline < math.inf:
            raise AgmError(f"deadline={deadline:g}: must be positive and finite, in seconds")
        if iterations is not None and not 0 <= iterations <= self.most:
            raise AgmError(f"iterations={iterations}: must be from 0 to {self.most}, as many as there are")

    @property
    def most(self) -> int:
        """The largest number of iterations, a second look included."""
        return len(masks_of(self.stepper, self.schedule))

    def _plan(self, groups: list[list[Tile]], end: float, iterations: int | None) -> Schedule | None:
        """The schedule to run until `end`; None for no iteration."""
        if iterations == 0:
            return None
        if self.planner is None:
            return self.schedule.take(min(len(self.schedule), iterations or self.most))
        pixels = [tile.pixels for group in groups for tile in group]
        return self.planner.plan(self.times, pixels, end - self._clock(), iterations)

    def _images(
        self, group: list[Tile], pixels: Pixels, masks: Sequence[Mask], limit: float = math.inf
    ) -> Iterator[list[Tensor]]:
        """Yield the images of all tiles of a group at each iteration, while they will all be there by `limit`."""
        progress: list[Any] = []
        for t, mask in enumerate(masks):
            name, images = activity(mask, t), list[Tensor]()
            for i, tile in enumerate(group):
                begun = self._clock()
                if limit < math.inf and begun + sum(self.times.predict(name, to.pixels) for to in group[i:]) > limit:
                    return
                if t == 0:
                    progress.append(self.stepper.start(pixels.tensor(tile).to(self.device)))
                images.append(self.stepper.step(progress[i], mask))
                synchronize(self.device)
                self.times.observe(name, tile.pixels, self._clock() - begun)
            yield images

    def _groups(self, pixels: Pixels) -> list[list[Tile]]:
        """Tiles that go through the iterations together."""
        return list(tiles.groups(tiles.cut(pixels.height, pixels.width, self.tile), self.group_pixels))


def _planner(
    weights: Path, config: RunConfig, schedule: str | Schedule | None, statistics: Statistics
) -> Planner | None:
    """A planner if every call plans its own schedule: on request, or by default where that is possible."""
    default = config.training.sampling == "any" and (weights.parent / "summary.json").is_file()
    if schedule != "auto" and not (schedule is None and default):
        return None
    run = Run.read(weights.parent)
    if run.config != config:
        raise AgmError(f"{weights}: of another run than the files beside it; name a schedule")
    return Planner.of(run, statistics)
