"""Lighter pages: no icons and styles that no page uses, JPEG for photographs, scripts run after the page is parsed."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tinycss2
from PIL import Image
from sphinx.application import Sphinx

ICON = re.compile(r'"?([a-z0-9-]+)"?:(\[\d+,\d+,\[[^\]]*\],"[0-9a-f]*",(?:"[^"]*"|\[[^\]]*\])\]),?')
"""An icon's name and shape in the theme's script of icons."""
LARGE = 30_000
"""Bytes of a style sheet that is worth searching for what nobody uses."""
PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
"""A picture in an SVG."""
NAME = re.compile(r"[.#]([A-Za-z_-][\w-]*)")
"""A class or an id in a selector."""
CHOICE = re.compile(r":(?:not|is|where)\([^)]*\)")
"""A part of a selector that may name what is not there."""
SCRIPT = re.compile(r'<script (?=[^>]*\bsrc=)(?![^>]*(?:\bdefer\b|\basync\b|type="module"|/documentation_options\.js))')
"""A script that holds up the page. The one of options, 300 bytes, is needed by lines within pages."""


def lighten(app: Sphinx, error: Exception | None) -> None:
    """Icons and styles that some page names, and no others; scripts after the page, in their order."""
    folder = Path(app.outdir)
    if error is not None or app.builder.name != "html":
        return
    pages = {page: page.read_text() for page in folder.rglob("*.html")}
    for page, text in pages.items():
        page.write_text(SCRIPT.sub("<script defer ", text))
    for drawing in (folder / "_images").glob("*.svg"):
        drawing.write_text(PICTURE.sub(_photograph, drawing.read_text()))
    _icons(folder / "_static" / "scripts" / "fontawesome.js", pages.values())
    scripts = [path.read_text() for kind in ("*.js", "*.mjs") for path in folder.rglob(kind)]
    words = set(re.findall(r"[A-Za-z_-][\w-]*", " ".join([*pages.values(), *scripts])))
    for sheet in (folder / "_static").rglob("*.css"):
        if sheet.stat().st_size > LARGE:
            _styles(sheet, words)


def _photograph(found: re.Match[str]) -> str:
    """As JPEG, on white, with its colours at full size; drawings, which have few colours, stay as they are."""
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as png:
        picture = png.convert("RGBA")
    if picture.getcolors(256):
        return found[0]
    white = Image.new("RGBA", picture.size, "white")
    buffer = io.BytesIO()
    Image.alpha_composite(white, picture).convert("RGB").save(buffer, "JPEG", quality=92, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _icons(script: Path, pages: Iterable[str]) -> None:
    """The theme brings every icon there is, 1.5 MB on each page."""
    if script.is_file():
        named = {name for page in pages for name in re.findall(r"fa-([a-z0-9-]+)", page)}
        script.write_text(ICON.sub(lambda icon: icon[0] if icon[1] in named else "", script.read_text()))


def _styles(sheet: Path, words: set[str]) -> None:
    rules = tinycss2.parse_stylesheet(sheet.read_text(), skip_comments=True, skip_whitespace=True)
    sheet.write_text("".join(_used(rules, words)))


def _used(rules: Iterable[Any], words: set[str]) -> Iterator[str]:
    """The rules for what may be in a page, by the names of classes and ids."""
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [text for text in _selectors(rule.prelude) if _may_match(text, words)]
            if selectors:
                yield f"{','.join(selectors)}{{{tinycss2.serialize(rule.content)}}}"
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            if within := "".join(_used(inner, words)):
                yield f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{within}}}"
        else:
            yield rule.serialize()


def _selectors(prelude: Iterable[Any]) -> Iterator[str]:
    """The selectors of a rule, which commas part."""
    found: list[Any] = []
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            yield tinycss2.serialize(found)
            found = []
        else:
            found.append(token)
    yield tinycss2.serialize(found)


def _may_match(selector: str, words: set[str]) -> bool:
    return words.issuperset(NAME.findall(CHOICE.sub("", selector)))
