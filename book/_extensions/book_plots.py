"""Figures whose SVG tells its series (study/figures/series.py): their numbers as CSV, and a drawing that answers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

COLUMNS = ("panel", "series", "x axis", "x", "y axis", "y")
OWN_NAMES = re.compile(r'(?<= id=")|(?<=href="#)|(?<=url\(#)')
"""The places of ids and of references to them in an SVG. Ids must be unique on a page."""


def offer(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Below each such figure a link to its numbers, and one to the picture."""
    if app.builder.name != "html":
        return
    for image in list(doctree.findall(nodes.image)):
        if _has_series(Path(app.srcdir) / image["uri"]):
            image["classes"].append("series")
            name = app.env.images[image["uri"]][1]
            picture = relative_uri(app.builder.get_target_uri(page), f"_images/{name}")
            numbers = picture.removesuffix(".svg") + ".csv"
            links = f'<a href="{numbers}" download>Data (CSV)</a> · <a href="{picture}">Picture (SVG)</a>'
            below = nodes.raw("", f'<p class="downloads">{links}</p>', format="html")
            image.parent.insert(image.parent.index(image) + 1, below)


def load(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """The script that makes figures answer, where there are any."""
    if doctree and any("series" in image["classes"] for image in doctree.findall(nodes.image)):
        app.add_js_file("plots.mjs", loading_method="defer")  # of every .js here, each page gets one


def write(app: Sphinx, error: Exception | None) -> None:
    """Beside each picture its numbers, and the drawing as a script, which a page on a disk may load."""
    for picture in Path(app.outdir, "_images").glob("*.svg") if error is None else ():
        if _has_series(picture):
            svg = picture.read_text()
            picture.with_suffix(".csv").write_text(_csv(svg))
            drawing = OWN_NAMES.sub(f"{picture.stem}-", svg[svg.index("<svg") :])
            named = f"(window.drawings ??= {{}})[{json.dumps(picture.name)}] = {json.dumps(drawing)};\n"
            picture.with_suffix(".svg.js").write_text(named)


def _has_series(picture: Path) -> bool:
    return picture.suffix == ".svg" and picture.is_file() and " data-x=" in picture.read_text()


def _csv(svg: str) -> str:
    """A row per point, in the order of the drawing."""
    text = io.StringIO()
    drawing = BeautifulSoup(svg[svg.index("<svg") :], "html.parser")
    rows = (row for group in drawing.select("[data-x]") for row in _rows(group))
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *dict.fromkeys(rows)])
    return text.getvalue()


def _rows(group: Any) -> Iterator[tuple[str, ...]]:
    """A level has no x, and the same y at both of its ends; an upright line the other way round."""
    panel, series, x_axis, xs, y_axis, ys = (group[f"data-{name.replace(' ', '-')}"] for name in COLUMNS)
    count = max(xs.count("|"), ys.count("|")) + 1
    for x, y in zip(*(text.split("|") if text else [""] * count for text in (xs, ys)), strict=True):
        yield panel, series, x_axis if x else "", x, y_axis if y else "", y
