"""Previews of what links lead to: terms, citations, figures, tables and formulas. Each page brings its own along."""

from __future__ import annotations

import json
import posixpath
import re
from functools import cache
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

LINK = re.compile(r'<a class="reference internal" href="(?P<href>(?P<file>[^"#:]*)#(?P<id>[^"]+))"')


def embed(app: Sphinx, error: Exception | None) -> None:
    """Write into every page what its links lead to, and the script that shows it."""
    if error is not None or app.builder.name != "html":
        return
    folder = Path(app.outdir)
    for page in (folder / f"{name}.html" for name in app.env.found_docs):
        text = page.read_text()
        article = text[: text.find("</article>")]
        previews = {link["href"]: _preview(page, link) for link in LINK.finditer(article)}
        if found := {href: preview for href, preview in previews.items() if preview}:
            up = "../" * (len(page.relative_to(folder).parts) - 1)
            data = json.dumps(found, ensure_ascii=False).replace("</", r"<\/")
            scripts = f'<script type="application/json" id="previews">{data}</script>'
            scripts += f'<script defer src="{up}_static/previews.mjs"></script>\n</body>'
            page.write_text(text.replace("</body>", scripts))
    _parsed.cache_clear()


def _preview(page: Path, link: re.Match[str]) -> str:
    """As HTML; empty if there is nothing to show but a page or a section."""
    target = (page.parent / link["file"]).resolve() if link["file"] else page
    found = _parsed(target).find(id=link["id"])
    return _shown(found, link["file"].rpartition("/")[0]) if isinstance(found, Tag) else ""


@cache
def _parsed(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(), "html.parser")


def _shown(target: Tag, folder: str) -> str:
    """The preview of a target, as HTML; empty for a section. `folder`: the target's, relative to the page."""
    match target.name:
        case "dt":
            parts = target.find_next_sibling("dd").find_all(["p", "ul", "ol"], recursive=False)
        case "figure":
            parts = target.select("img, figcaption > p:first-child")
        case "table":
            parts = target.select("caption")
        case "div" if "citation" in target["class"]:
            parts = target.select("p")
        case "div" if "math" in target["class"]:
            parts = [target]
        case _:
            parts = []
    return "".join(_plain(part, folder) for part in parts)


def _plain(part: Tag, folder: str) -> str:
    """Without links and names, which a page may have once only."""
    copy = BeautifulSoup(str(part), "html.parser")
    for tag in copy.select(".headerlink, .eqno"):
        tag.decompose()
    for tag in copy.find_all(True):
        tag.attrs = {name: value for name, value in tag.attrs.items() if name in ("alt", "class", "src")}
        if tag.name == "img":
            tag["src"] = posixpath.join(folder, tag["src"])
        if tag.name == "a":
            tag.unwrap()
    return str(copy)
