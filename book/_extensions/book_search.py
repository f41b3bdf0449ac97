"""The words of all pages in one script, for the search of a book that is opened from a disk."""

from __future__ import annotations

import json
from pathlib import Path

from bs4 import BeautifulSoup
from sphinx.application import Sphinx


def write(app: Sphinx, error: Exception | None) -> None:
    """A browser lets no page of a disk read another one; the search would show titles alone."""
    if error is None and app.builder.name == "html":
        folder = Path(app.outdir)
        pages = {f"{name}.html": _words((folder / f"{name}.html").read_text()) for name in sorted(app.env.found_docs)}
        (folder / "_static" / "words.js").write_text(f"const words = {json.dumps(pages, ensure_ascii=False)};\n")


def _words(page: str) -> str:
    """The text of a page in the sections that the search asks for, as HTML."""
    main = BeautifulSoup(page, "html.parser").select_one("article")
    assert main is not None
    for tag in main.select(".headerlink, script, style, svg"):
        tag.decompose()
    for tag in main.select("dd, div, dt, li, p, td, th"):
        tag.append(" ")  # or the next one's words would follow at once
    for tag in main.find_all(True):
        tag.attrs = {"id": tag["id"]} if tag.get("id") else {}
        if not tag.attrs:
            tag.unwrap()
    return " ".join(f"<div role=main>{main.decode_contents()}</div>".split())
