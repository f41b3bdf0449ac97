"""The book is good to read: without a network, on a telephone, in the dark, by ear, from a keyboard, and on paper."""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from pypdf import PdfReader
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from support import axe
from support.book import TOC, pages, parsed
from support.browser import CHROMIUM, DESKTOP, PHONE, complaints, prefer, requested, resize
from support.checkout import BIN, ROOT, Checkout, run

import agm

NOTEBOOKS = [name for name in TOC if name.startswith("notebooks/")]
SETS_FORMULAS = """
    return [...document.querySelectorAll('article .math')].filter(formula => !formula.querySelector('svg')).length;
"""


def open_page(browser: Any, url: str, scheme: str = "light") -> None:
    """Open a page and wait until its formulas are set."""
    prefer(browser, scheme)
    browser.get(url)
    browser.execute_async_script(
        "const done = arguments[0]; Promise.resolve(window.MathJax?.startup?.promise).then(() => done());"
    )


@pytest.mark.parametrize("name", [*(name for name in TOC if name.count("/") < 2), "search", "genindex"])
def test_nobody_is_kept_from_reading(browser: Any, address: str, name: str) -> None:
    """By axe-core; colours change with the theme, the rest with the width."""
    for size in (DESKTOP, PHONE):
        resize(browser, size)
        open_page(browser, f"{address}/{name}.html")
        assert axe.violations(browser) == []
        prefer(browser, "dark")
        WebDriverWait(browser, 10).until(lambda _: theme(browser) == "dark")
        assert axe.violations(browser, "color-contrast", "link-in-text-block") == []


def theme(browser: Any) -> str:
    return str(browser.execute_script("return document.documentElement.dataset.theme"))


def test_axe_would_notice(browser: Any, address: str) -> None:
    open_page(browser, f"{address}/{TOC[0]}.html")
    browser.execute_script("""
        document.querySelector('article').insertAdjacentHTML('afterbegin', '<img src="favicon.svg" />');
        document.querySelector('article p').style.color = '#ddd';
    """)
    assert {text.partition(":")[0] for text in axe.violations(browser)} >= {"image-alt", "color-contrast"}


def test_no_page_asks_for_anything_from_elsewhere(browser: Any, address: str, html: Path) -> None:
    """Not only what is written into the pages: what their scripts ask for as well."""
    requested(browser)
    complaints(browser)
    resize(browser, DESKTOP)
    for page in pages(html):
        browser.get(f"{address}/{page.relative_to(html.resolve())}")
        assert len(browser.find_elements(By.TAG_NAME, "html")) == 1
    asked = requested(browser)
    assert len(asked) > len(TOC)
    assert {url for url in asked if not url.startswith((address, "data:", "blob:"))} == set()
    assert complaints(browser) == []


VERDICTS_IN_SIGHT = """
    return [...document.querySelectorAll('.paper-says td:last-child')].map(cell =>
        cell.closest('.admonition').getBoundingClientRect().right - cell.getBoundingClientRect().right);
"""


@pytest.mark.parametrize("name", ["ael", "number", "placement", "statistics", "anytime"])
def test_verdicts_are_in_sight(browser: Any, address: str, name: str) -> None:
    """Neither cut off by their frame nor to be scrolled to."""
    for size in (DESKTOP, PHONE):
        resize(browser, size)
        open_page(browser, f"{address}/{name}.html")
        left = browser.execute_script(VERDICTS_IN_SIGHT)
        assert left
        assert min(left) >= 0, f"{name} at {size[0]} pixels"


@pytest.mark.parametrize("name", TOC)
def test_formulas_are_set(browser: Any, address: str, html: Path, name: str) -> None:
    if not parsed(html / f"{name}.html").select("article .math"):
        pytest.skip("no formulas")
    open_page(browser, f"{address}/{name}.html")
    assert browser.execute_script(SETS_FORMULAS) == 0
    assert browser.find_elements(By.CSS_SELECTOR, "[data-mml-node=merror]") == []


@pytest.mark.parametrize("source", ["address", "disk"])
def test_a_search_has_hits(browser: Any, address: str, html: Path, source: str) -> None:
    """From a server and from the disk, without a network."""
    start = address if source == "address" else html.resolve().as_uri()
    resize(browser, DESKTOP)
    requested(browser)
    complaints(browser)
    browser.get(f"{start}/{TOC[0]}.html")
    browser.find_element(By.CSS_SELECTOR, ".search-button-field, .search-button__button").click()
    field = WebDriverWait(browser, 10).until(lambda _: visible(browser, "input[name=q]"))
    field.send_keys("peephole", Keys.ENTER)
    hits = WebDriverWait(browser, 20).until(
        lambda _: browser.find_elements(By.CSS_SELECTOR, "#search-results li a[href]")
    )
    assert any("orl.html" in hit.get_attribute("href") for hit in hits)
    pieces = WebDriverWait(browser, 20).until(
        lambda _: browser.find_elements(By.CSS_SELECTOR, "#search-results li p.context")
    )
    assert any("peephole" in piece.text.lower() for piece in pieces)
    assert {url for url in requested(browser) if not url.startswith((start, "data:", "blob:"))} == set()
    assert complaints(browser) == []


def visible(browser: Any, selector: str) -> Any:
    return next((found for found in browser.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()), None)


def test_a_box_that_scrolls_takes_the_focus(browser: Any, address: str) -> None:
    resize(browser, PHONE)
    open_page(browser, f"{address}/claims.html")
    cut = """
        return [...document.querySelectorAll('article *')]
            .filter(box => box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX))
            .map(box => box.tabIndex);
    """
    found = browser.execute_script(cut)
    assert found
    assert set(found) == {0}


@pytest.mark.parametrize("name", TOC)
def test_pictures_say_what_they_show(html: Path, name: str) -> None:
    """In words, not with the name of a file; those in notebooks as well."""
    for image in parsed(html / f"{name}.html").select("article img"):
        assert len(image.get("alt", "").split()) > 3, image
        assert ".svg" not in image["alt"]


def test_a_picture_is_described_alike_in_its_notebook_and_in_the_text() -> None:
    prose = "\n".join(path.read_text() for path in (ROOT / "book").glob("*.md"))
    described = 0
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            text = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt")
            saved = re.search(r'style\.save\(fig, "(\w+)"', "".join(cell["source"]))
            if text and saved and f"/{saved[1]}.svg" in prose:
                described += 1
                assert f":alt: {text}" in prose, f"{path.name}, {saved[1]}"
    assert described > 10


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_can_be_taken_along(html: Path, name: str) -> None:
    (link,) = parsed(html / f"{name}.html").select("a.btn-download-source-button")
    target = html / name / ".." / link["href"]
    assert target.resolve() == (html / "_sources" / f"{name}.ipynb").resolve()
    assert json.loads(target.resolve().read_text())["nbformat"] == 4


def test_nothing_is_launched_while_nobody_said_where_the_repository_is(html: Path) -> None:
    assert yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"] == ""
    assert [page.name for page in pages(html) if parsed(page).select(".dropdown-launch-buttons")] == []


def launched(checkout: Checkout, folder: Path) -> Path:
    """Pages of two notebooks, built as if the repository had a place."""
    shutil.copytree(checkout.root / "book", folder / "book")
    (folder / "book" / "_toc.yml").write_text(
        "format: jb-book\nroot: notebooks/fig3\nchapters:\n- file: notebooks/fig4\n- file: notebooks/cpu/fig4\n"
    )
    settings = (checkout.root / "_config.yml").read_text()
    (folder / "_config.yml").write_text(settings.replace('url: ""', "url: https://github.com/someone/agm"))
    built = run(folder, BIN / "jupyter-book", "build", "book", "--config", "_config.yml", "--path-output", "out")
    assert built.returncode == 0, built.stdout
    return folder / "out" / "_build" / "html" / "notebooks"


def test_notebooks_are_launched_from_where_they_are_in_the_repository(checkout: Checkout, tmp_path: Path) -> None:
    built = launched(checkout, tmp_path)
    for page in (built / "fig4.html", built / "cpu" / "fig4.html"):
        urls = [link["href"] for link in parsed(page).select(".dropdown-launch-buttons a")]
        binder, colab = map(urlsplit, urls)
        assert (binder.netloc, binder.path) == ("mybinder.org", "/v2/gh/someone/agm/main")
        (shown,) = parse_qs(binder.query)["urlpath"]
        assert (colab.netloc, colab.path[:30]) == ("colab.research.google.com", "/github/someone/agm/blob/main/")
        assert shown == "lab/tree/notebooks/fig4.ipynb"
        assert (ROOT / shown.removeprefix("lab/tree/")).is_file()
        assert (ROOT / colab.path[30:]).is_file()
        loaded = [tag.get("src") or tag.get("href") for tag in parsed(page).find_all(["img", "script", "link"])]
        assert [url for url in loaded if url and urlsplit(url).netloc] == []


def test_binder_finds_an_environment() -> None:
    """It takes binder/ before the root, and would then miss the rest."""
    assert not (ROOT / "binder").exists()
    assert not (ROOT / ".binder").exists()
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    assert "-e ." in pip


def test_the_glossary_knows_the_notation(html: Path) -> None:
    terms = {tag.get_text(strip=True).rstrip("#") for tag in parsed(html / "glossary.html").select("dl.glossary > dt")}
    assert terms >= {"AEL", "ORL", "r", "n", "x", "-", "NOAEL", "Config. A", "Config. B", "schedule"}
    link = "a[href^='glossary.html#term']"
    linked = [name for name in TOC if name != "glossary" and parsed(html / f"{name}.html").select(link)]
    assert {"ael", "orl", "architecture", "found"} <= set(linked)


def test_the_library_is_described(html: Path) -> None:
    names = ("api", "api-training", "api-data")
    described = {tag["id"] for name in names for tag in parsed(html / f"{name}.html").select("dt.sig[id]")}
    assert {f"agm.{name}" for name in agm.__all__} <= described
    assert {
        "agm.anytime.upscaler.AnytimeUpscaler.upscale",
        "agm.training.loop.train",
        "study.profiles.load",
    } <= described


@pytest.fixture(scope="module")
def printed(checkout: Checkout, html: Path) -> PdfReader:
    if CHROMIUM is None:
        pytest.skip("no chromium here")
    os.environ["CHROMIUM"] = CHROMIUM
    done = checkout.snakemake("pdf")
    assert done.returncode == 0, done.stdout
    parsed.cache_clear()  # other tests edit the book, and what is printed is built anew
    return PdfReader(checkout.root / "build" / "agm.pdf")


def test_the_whole_book_is_printed_in_its_order(printed: PdfReader, html: Path) -> None:
    text = plain(" ".join(page.extract_text() for page in printed.pages))
    assert len(printed.pages) > len(TOC)
    place = len(plain(parsed(html / f"{TOC[0]}.html").article.get_text())) // 2  # past its table of contents
    for title in (heading(html / f"{name}.html") for name in TOC[1:]):
        place = text.find(title, place)  # after the one before
        assert place >= 0, title


def heading(page: Path) -> str:
    title = parsed(page).select_one("article h1")
    assert title is not None
    return plain(title.get_text().rstrip("#"))


def plain(text: str) -> str:
    """Without ligatures and line breaks."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip()


def test_pictures_and_formulas_are_printed(printed: PdfReader) -> None:
    text = "\n".join(page.extract_text() for page in printed.pages)
    assert re.findall(r"\\(?:begin|frac|mathrm|sum|sigma)\b", text) == []
    assert "Traceback" not in text


def test_tables_are_printed_with_their_numbers(printed: PdfReader, html: Path) -> None:
    text = plain("".join(page.extract_text() for page in printed.pages)).replace(" ", "")
    rows = [
        row for name in TOC for row in parsed(html / f"{name}.html").select("article .output.text_html tr:has(td.data)")
    ]
    assert len(rows) > 100
    for row in rows:
        cells = [plain(cell.get_text()).replace(" ", "") for cell in row.select("td.data")]
        assert all(cell in text for cell in cells), cells
