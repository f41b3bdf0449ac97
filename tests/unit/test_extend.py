"""The chapter "Add your own": what it says of each example's files is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agm import data
from agm.data.official import SETS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "extend.md").read_text()
CODE = [path for package in ("agm", "study", "workflow", "benchmarks") for path in (ROOT / package).rglob("*.py")]


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def numbered(title: str) -> list[str]:
    """The files that a section lists."""
    return re.findall(r"^\d\. `([^`]+)`", section(title), re.MULTILINE)


def mentioning(pattern: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in CODE if re.search(pattern, path.read_text())}


@pytest.mark.parametrize(("title", "count"), [("A layer", 2), ("A data set", 2), ("A figure", 4)])
def test_the_files_are_there_and_as_many_as_it_says(title: str, count: int) -> None:
    assert len(numbered(title)) == count
    assert [name for name in re.findall(r"`([\w/]+\.\w+)`", section(title)) if not (ROOT / name).exists()] == []


def test_nothing_else_knows_the_layer() -> None:
    assert mentioning(r"(?i)conv_?gru") == set(numbered("A layer"))


def test_every_data_set_is_a_module_a_row_and_a_card() -> None:
    assert SETS == data.PAPER_SETS
    for name in SETS:
        assert (ROOT / "agm" / "data" / "official" / f"{name}.py").exists()
        assert (ROOT / "data" / f"{name}.md").exists()


def test_nothing_else_knows_the_figures_module() -> None:
    assert mentioning(r"figures\.order|figures import .*\border\b") == set()
    assert "from study.figures import" in (ROOT / "notebooks" / "order.ipynb").read_text()


def test_a_claim_is_one_row() -> None:
    assert mentioning("one-n-sooner") == {"study/claims/ledger.py"}


def test_the_chapter_is_in_the_book() -> None:
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    assert {"file": "extend"} in [chapter for part in toc["parts"] for chapter in part["chapters"]]
