"""Interactive widgets for JupyterLab: choose model, schedule, picture and deadline, and see the images arrive."""

from __future__ import annotations

import html
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import torch
from matplotlib.figure import Figure
from torch import Tensor

from agm import data, runs
from agm.config import ORL_CONFIGURATIONS, DataConfig
from agm.data.images import Pixels, read_image, square
from agm.errors import AgmError
from agm.networks.generator import Generator
from agm.runs import Run
from agm.schedule import NAMED, Schedule
from study.figures import style
from study.figures.film import latest, psnr, strip, versions
from study.profiles import Profile

SIDE, OWN_SIDE = 64, 128
"""Sides in pixels of bundled photographs and of uploaded pictures. The network sees them halved."""

SCHEDULES = {**{name: name for name in NAMED}, "layer 4 alone": "---x (10)", "layers 1, 4": "x--x (10)"}
"""The choices of the AEL slider."""


@dataclass(frozen=True)
class Step:
    """One iteration: seconds from the start until its image is ready, PSNR in dB, and the image, (3, H, W)."""

    seconds: float
    psnr: float
    image: Tensor


def network(layers: str, schedule: str, profile: Profile) -> Run:
    """The run that is used for a model: of runs with weights, the widest that was trained with this schedule.

    If there is none: the widest trained without AEL, then with another schedule. Without any weights a run is trained
    under the profile. Raises AgmError for an unknown model.
    """
    wanted, whole = str(Schedule.parse(schedule)), str(Schedule.parse("NOAEL"))
    found = [run for run in runs.all_runs() if run.has_weights and run.config.generator.layers == layers]
    if not found:
        return runs.ensure([profile.run("cars", layers=layers)])[0]

    def rank(run: Run) -> tuple[bool, bool, int]:
        trained = run.config.training.schedule
        return trained == wanted, trained == whole, run.config.generator.width

    return max(found, key=rank)


def photographs(count: int = 12) -> list[Pixels]:
    """Bundled test photographs, (SIDE, SIDE, 3); no network here was trained on them."""
    wanted = DataConfig(dataset="photographs", image_size=SIDE, test_images=count)
    return list(data.splits(wanted).test.high)


def photograph(content: bytes, name: str) -> Pixels:
    """The centred square of an uploaded picture, (OWN_SIDE, OWN_SIDE, 3). Raises AgmError if it cannot be read."""
    return square(read_image(io.BytesIO(content), name), OWN_SIDE).copy()  # PIL lends its own memory, to be read only


@torch.no_grad()
def steps(generator: Generator, pixels: Pixels, schedule: Schedule) -> Iterator[Step]:
    """Yield each iteration as soon as it is computed. The seconds count computing only."""
    low, _, high = versions(pixels)
    images = generator.eval().iterate(low[None], schedule, "iteration")
    seconds = 0.0
    for _ in schedule:
        started = time.perf_counter()
        image = next(images)[0]
        seconds += time.perf_counter() - started
        yield Step(seconds, psnr(image, high), image)


def curve(found: Sequence[Step], bicubic: float, deadline: float) -> Figure:
    """PSNR over milliseconds, a mark per iteration: filled if in time, else hollow. `deadline` in seconds."""
    with style.context():
        fig = style.figure(3.2)
        ax = fig.subplots()
        late = [step.seconds > deadline for step in found]
        x, y = [1000 * step.seconds for step in found], [step.psnr for step in found]
        ax.plot(x, y, color=style.BLUE, zorder=2)
        faces = ["white" if one else style.BLUE for one in late]
        ax.scatter(x, y, c=faces, edgecolors=style.BLUE, zorder=3)
        style.baseline(ax, bicubic)
        ax.axvline(1000 * deadline, color=style.VERMILLION, label="deadline")
        ax.set(xlabel="milliseconds", ylabel="PSNR, dB", xlim=(0, max([1100 * deadline, *(1.05 * end for end in x)])))
        ax.legend()
    return fig


class Playground:
    """The widgets; `show` returns them for a notebook. Every change takes effect at once."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.photographs = photographs()
        self.found: list[Step] = []
        slider = {"continuous_update": False, "layout": {"width": "26em"}, "style": {"description_width": "7em"}}
        self.layers = widgets.SelectionSlider(options=ORL_CONFIGURATIONS, value="nnnr", description="ORL", **slider)
        self.schedule = widgets.SelectionSlider(options=SCHEDULES.items(), value="A", description="AEL", **slider)
        self.deadline = widgets.FloatLogSlider(
            value=300, base=10, min=0, max=4, step=0.05, description="deadline, ms", readout_format=".0f", **slider
        )
        count = len(self.photographs)
        self.number = widgets.IntSlider(value=0, min=0, max=count - 1, description="photograph", **slider)
        self.upload = widgets.FileUpload(accept="image/*", description="your own picture", layout={"width": "26em"})
        self.pictures, self.curve = (widgets.Image(format="png", layout={"max_width": "100%"}) for _ in range(2))
        self.status = widgets.HTML()
        for control in (self.layers, self.schedule, self.number, self.upload):
            control.observe(self._run, "value")
        self.deadline.observe(self._draw, "value")

    def show(self) -> Any:
        """The widget, with the first result."""
        self._run()
        left = widgets.VBox([self.layers, self.schedule, self.deadline])
        right = widgets.VBox([self.number, self.upload])
        return widgets.VBox([widgets.HBox([left, right]), self.status, self.pictures, self.curve])

    def picture(self) -> Pixels:
        """The uploaded picture, if there is one, else the photograph that the slider shows."""
        if self.upload.value:
            sent = self.upload.value[-1]
            return photograph(bytes(sent["content"]), sent["name"])
        return self.photographs[int(self.number.value)]

    def _run(self, _: Any = None) -> None:
        """Start again with the chosen network, schedule and picture, and draw after every iteration."""
        try:
            schedule = Schedule.parse(self.schedule.value)
            self.pixels = self.picture()
            self._say(f"{self.layers.value}: looking for its weights, or training it …")
            run = network(self.layers.value, str(schedule), self.profile)
            self.name = f"run {run.config.id}, width {run.config.generator.width}, schedule {schedule}"
            self.found = []
            for step in steps(run.generator(), self.pixels, schedule):
                self.found.append(step)
                self._draw()
        except AgmError as error:
            self._say(str(error))

    def _draw(self, _: Any = None) -> None:
        """Show the last image that was finished by the deadline."""
        if not self.found:
            return
        seconds = self.deadline.value / 1000
        low, bicubic, original = versions(self.pixels)
        level, count = psnr(bicubic, original), latest([step.seconds for step in self.found], seconds)
        image, text = bicubic, "nothing yet: bicubic"
        if count:
            image, text = self.found[count - 1].image, f"iteration {count}: {self.found[count - 1].psnr:.1f} dB"
        self.pictures.value = png(
            strip([low, bicubic, image, original], ["input", f"bicubic: {level:.1f} dB", text, "original"])
        )
        self.curve.value = png(curve(self.found, level, seconds))
        sides = f"{low.shape[-1]} to {len(self.pixels)} pixels a side"
        self._say(f"{text} after {self.deadline.value:.0f} ms ({self.name}, {sides})")

    def _say(self, text: str) -> None:
        self.status.value = f"<p class='agm-status'>{html.escape(text)}</p>"


def png(fig: Figure) -> bytes:
    """A figure as a picture that a widget can show."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
