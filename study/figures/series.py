"""What a figure shows, written into its SVG, so that a page can answer questions and give the numbers away.

A series is a line with a name. Its group in the SVG holds its numbers and where they are drawn. Whatever else belongs
to it, such as a band, bears the same name with an underscore in front, which keeps it out of legends.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import Bbox

Attributes = dict[str, str]


def mark(fig: Figure) -> None:
    """Give the groups of series and of entries in legends an id, by which `describe` finds them in the SVG."""
    for number, (_, artist) in enumerate(_members(fig)):
        artist.set_gid(f"series-{number}")
    for number, (handle, _) in enumerate(_entries(fig)):
        handle.set_gid(f"entry-{number}")


def describe(fig: Figure, svg: str) -> str:
    """The SVG of a marked figure, drawn at the figure's own resolution, with what each group stands for.

    `data-series`: the name; `data-panel`, `data-x-axis`, `data-y-axis`: where it is; `data-x`, `data-y`: the numbers or
    names; `data-at`: the places "x y", as shares of the figure from its upper left corner. All lists are parted by "|".
    `data-entry`: a legend's entry for the series of that name, with its box "left top width height".
    """
    for number, (ax, artist) in enumerate(_members(fig)):
        name = str(artist.get_label())
        found = {"series": name.removeprefix("_")}
        if isinstance(artist, Line2D) and not name.startswith("_"):
            found |= _points(fig, ax, artist)
        svg = _with(svg, f"series-{number}", found)
    for number, (handle, text) in enumerate(_entries(fig)):
        box = Bbox.union([handle.get_window_extent(), text.get_window_extent()]).transformed(fig.transFigure.inverted())
        places = (box.x0, 1 - box.y1, box.width, box.height)
        svg = _with(svg, f"entry-{number}", {"entry": text.get_text(), "at": " ".join(f"{p:.4f}" for p in places)})
    return svg


def _with(svg: str, gid: str, attributes: Attributes) -> str:
    text = " ".join(f"data-{name}={quoteattr(value)}" for name, value in attributes.items())
    return svg.replace(f'<g id="{gid}">', f'<g id="{gid}" {text}>', 1)


def _entries(fig: Figure) -> Iterator[tuple[Artist, Text]]:
    for legend in (*fig.legends, *filter(None, (ax.get_legend() for ax in fig.axes))):
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            if handle is not None:
                yield handle, text


def _members(fig: Figure) -> Iterator[tuple[Axes, Artist]]:
    """The lines with names, and what belongs to them."""
    names = {text.get_text() for _, text in _entries(fig)}
    for ax in filter(Axes.get_visible, fig.axes):
        for artist in ax.get_children():
            label = str(artist.get_label())
            if label.removeprefix("_") in names or (isinstance(artist, Line2D) and not label.startswith("_")):
                yield ax, artist


def _points(fig: Figure, ax: Axes, line: Line2D) -> Attributes:
    """The numbers of a line that are finite. A level has no x of its own, an upright line no y."""
    data = np.asarray(line.get_xydata(), dtype=float)
    with np.errstate(all="ignore"):
        places = fig.transFigure.inverted().transform(line.get_transform().transform(data))
    whole = np.isfinite(data).all(axis=1) & np.isfinite(places).all(axis=1)
    of_x, of_y = line.get_transform().contains_branch_seperately(ax.transData)
    return {
        "panel": ax.get_title(loc="left"),
        "x-axis": _label(ax, "x"),
        "y-axis": _label(ax, "y"),
        "x": "|".join(_texts(ax.xaxis, data[whole, 0])) if of_x else "",
        "y": "|".join(_texts(ax.yaxis, data[whole, 1])) if of_y else "",
        "at": "|".join(f"{left:.4f} {1 - bottom:.4f}" for left, bottom in places[whole]),
    }


def _texts(axis: Axis, values: np.ndarray) -> list[str]:
    """Numbers with six digits, or the names that an axis has in their place."""
    names = {}
    if isinstance(axis.get_major_locator(), FixedLocator):
        places = axis.get_majorticklocs()
        texts = axis.get_major_formatter().format_ticks(list(places))
        names = {place: " ".join(text.split()) for place, text in zip(places, texts, strict=True)}
    return [names.get(value, f"{value:.6g}") for value in values]


def _label(ax: Axes, which: str) -> str:
    """An axis' own label, or that of one that it is shared with or beside: inner panels have none."""
    if which == "x":
        others = ax.get_shared_x_axes().get_siblings(ax)
    else:
        others = [other for other in ax.figure.axes if other.get_position().y0 == ax.get_position().y0]
    labels = (getattr(other, f"get_{which}label")() for other in (ax, *others))
    return next(filter(None, labels), "")
