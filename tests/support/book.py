"""The pages of the book: which there should be, which there are, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from bs4 import BeautifulSoup

from support.checkout import ROOT


def toc_files(node: Any) -> Iterator[str]:
    """Every page that a table of contents names."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key in ("root", "file"))
        yield from (name for value in node.values() for name in toc_files(value))
    elif isinstance(node, list):
        yield from (name for value in node for name in toc_files(value))


TOC = list(toc_files(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())))


@cache
def parsed(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(), "html.parser")


def pages(html: Path) -> list[Path]:
    """All pages; the theme leaves a template among the static files."""
    return sorted(page for page in html.resolve().rglob("*.html") if "_static" not in page.parts)
