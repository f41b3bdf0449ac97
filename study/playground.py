"""A board of sliders for JupyterLab: model, schedule, picture and deadline, and curves that grow as images arrive."""

from __future__ import annotations

import html
import io
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from agm.config import ORL_CONFIGURATIONS
from agm.data.images import Pixels
from agm.errors import AgmError
from agm.networks.generator import Generator
from agm.schedule import NAMED
from study import explore, live
from study.explore import Step
from study.profiles import Profile

SCHEDULES = {**{name: name for name in NAMED}, "layer 4 alone": "---x (10)", "layers 1, 4": "x--x (10)"}
"""What the slider for AEL offers; one's own notation goes into the field beside it."""


class Playground:
    """The board; `show` it in a notebook. Whatever changes takes effect at once."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.photographs = explore.photographs()
        self.found: list[Step] = []
        slider = {"continuous_update": False, "layout": {"width": "26em"}, "style": {"description_width": "7em"}}
        self.layers = widgets.SelectionSlider(options=ORL_CONFIGURATIONS, value="nnnr", description="ORL", **slider)
        self.schedule = widgets.SelectionSlider(options=SCHEDULES.items(), value="A", description="AEL", **slider)
        self.own = widgets.Text(placeholder="x--x (4) - xxxx (6)", description="or your own", **slider)
        self.deadline = widgets.FloatLogSlider(
            value=300, base=10, min=0, max=4, step=0.05, description="deadline, ms", readout_format=".0f", **slider
        )
        count = len(self.photographs)
        self.number = widgets.IntSlider(value=0, min=0, max=count - 1, description="photograph", **slider)
        self.upload = widgets.FileUpload(accept="image/*", description="your own picture", layout={"width": "26em"})
        self.pictures, self.curve = (widgets.Image(format="png", layout={"max_width": "100%"}) for _ in range(2))
        self.status = widgets.HTML()
        for control in (self.layers, self.schedule, self.own, self.number, self.upload):
            control.observe(self._run, "value")
        self.deadline.observe(self._draw, "value")

    def show(self) -> Any:
        """The widget, with the first result."""
        self._run()
        left = widgets.VBox([self.layers, self.schedule, self.own])
        right = widgets.VBox([self.deadline, self.number, self.upload])
        return widgets.VBox([widgets.HBox([left, right]), self.status, self.pictures, self.curve])

    def picture(self) -> Pixels:
        """The uploaded picture, if there is one, else the photograph that the slider shows."""
        if self.upload.value:
            latest = self.upload.value[-1]
            return explore.photograph(bytes(latest["content"]), latest["name"])
        return self.photographs[int(self.number.value)]

    def _run(self, _: Any = None) -> None:
        """Begin anew: another network, schedule or picture. Draws after every iteration."""
        try:
            schedule = explore.parse(self.own.value.strip() or self.schedule.value, self.layers.value)
            self.pixels = self.picture()
            self._say(f"{self.layers.value}: looking for its weights, or training it …")
            run = explore.network(self.layers.value, str(schedule), self.profile)
            generator: Generator = run.generator()
            self.name = f"run {run.config.id}, width {run.config.generator.width}, schedule {schedule}"
            self.found = []
            for step in explore.steps(generator, self.pixels, schedule):
                self.found.append(step)
                self._draw()
        except AgmError as error:
            self._say(str(error))

    def _draw(self, _: Any = None) -> None:
        """Show what is there by the deadline, of what has arrived so far."""
        if not self.found:
            return
        seconds = self.deadline.value / 1000
        low, bicubic, original = explore.versions(self.pixels)
        level, step = explore.quality(bicubic, original), explore.in_time(self.found, seconds)
        image = bicubic if step is None else step.image
        text = "nothing yet: bicubic" if step is None else f"iteration {step.iteration}: {step.psnr:.1f} dB"
        self.pictures.value = png(
            live.row([low, bicubic, image, original], ["input", f"bicubic: {level:.1f} dB", text, "original"])
        )
        self.curve.value = png(live.curve(self.found, level, seconds))
        self._say(f"{text} after {self.deadline.value:.0f} ms ({self.name}, {explore.sides(self.pixels)})")

    def _say(self, text: str) -> None:
        self.status.value = f"<p class='agm-status'>{html.escape(text)}</p>"


def png(fig: Figure) -> bytes:
    """A figure as a picture that a widget can show."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
