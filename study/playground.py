"""Interactive widgets for JupyterLab: choose model, schedule, picture and deadline, and see what is there in time."""

from __future__ import annotations

import html
import io
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from agm import data, runs
from agm.config import ORL_CONFIGURATIONS, DataConfig
from agm.data.images import Pixels, read_image, square
from agm.errors import AgmError
from agm.runs import Run
from agm.schedule import NAMED, Schedule
from study.figures import style
from study.figures.film import Row, latest, strip, timed
from study.profiles import Profile

SIDE, OWN_SIDE = 64, 128
"""Sides in pixels of bundled photographs and of uploaded pictures. The network sees them halved."""

SCHEDULES = {**{name: name for name in NAMED}, "layer 4 alone": "---x (10)", "layers 1, 4": "x--x (10)"}
"""The choices of the AEL slider."""


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


def curve(row: Row, deadline: float) -> Figure:
    """PSNR over milliseconds, a mark per iteration: filled if in time, else hollow. `deadline` in milliseconds."""
    film, milliseconds = row
    with style.context():
        fig = style.figure(3.2)
        ax = fig.subplots()
        values = [film.psnr(t) for t in range(1, len(milliseconds) + 1)]
        ax.plot(milliseconds, values, color=style.BLUE, zorder=2)
        faces = ["white" if moment > deadline else style.BLUE for moment in milliseconds]
        ax.scatter(milliseconds, values, c=faces, edgecolors=style.BLUE, zorder=3)
        style.baseline(ax, film.psnr(0))
        ax.axvline(deadline, color=style.VERMILLION, label="deadline")
        ax.set(xlabel="milliseconds", ylabel="PSNR, dB", xlim=(0, max(1.1 * deadline, 1.05 * milliseconds[-1])))
        ax.legend()
    return fig


class Playground:
    """The widgets; `show` returns them for a notebook. Every change takes effect at once."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.photographs = photographs()
        self.row: Row | None = None
        slider = {"continuous_update": False, "layout": {"width": "26em"}, "style": {"description_width": "7em"}}
        self.layers = widgets.SelectionSlider(options=ORL_CONFIGURATIONS, value="nnnr", description="ORL", **slider)
        self.schedule = widgets.SelectionSlider(options=SCHEDULES.items(), value="A", description="AEL", **slider)
        self.deadline = widgets.FloatLogSlider(
            value=300, base=10, min=0, max=4, step=0.05, description="deadline, ms", readout_format=".0f", **slider
        )
        count = len(self.photographs)
        self.number = widgets.IntSlider(value=0, min=0, max=count - 1, description="photograph", **slider)
        self.upload = widgets.FileUpload(accept="image/*", description="your own picture", layout={"width": "26em"})
        self.pictures, self.curve = (widgets.Image(format="svg+xml", layout={"max_width": "100%"}) for _ in range(2))
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

    def _picture(self) -> Pixels:
        """The uploaded picture, if there is one, else the photograph that the slider shows."""
        if self.upload.value:
            sent = self.upload.value[-1]
            return photograph(bytes(sent["content"]), sent["name"])
        return self.photographs[int(self.number.value)]

    def _run(self, _: Any = None) -> None:
        """Start again with the chosen network, schedule and picture."""
        self._say(f"{self.layers.value}: looking for its weights, or training it …")
        try:
            pixels, schedule = self._picture(), Schedule.parse(self.schedule.value)
            run = network(self.layers.value, str(schedule), self.profile)
            self.row = timed(run.generator(), schedule, pixels)
        except AgmError as error:
            self._say(str(error))
            return
        self.name = f"run {run.config.id}, width {run.config.generator.width}, schedule {schedule}"
        self._draw()

    def _draw(self, _: Any = None) -> None:
        """Show the last image that was finished by the deadline."""
        if self.row is None:
            return
        film, milliseconds = self.row
        count = latest(milliseconds, self.deadline.value)
        text = f"iteration {count}: {film.psnr(count):.1f} dB" if count else "nothing yet: bicubic"
        shown = {"input": film.low, f"bicubic: {film.psnr(0):.1f} dB": film.bicubic}
        shown |= {text: film.shown(count), "original": film.original}
        self.pictures.value = style.render(strip([*shown.values()], [*shown]))
        self.curve.value = style.render(curve(self.row, self.deadline.value))
        sides = f"{film.low.shape[-1]} to {film.original.shape[-1]} pixels a side"
        self._say(f"{text} after {self.deadline.value:.0f} ms ({self.name}, {sides})")

    def _say(self, text: str) -> None:
        self.status.value = f"<p class='agm-status'>{html.escape(text)}</p>"
