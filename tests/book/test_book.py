"""The built book: every page is there, every link leads somewhere, and a browser shows it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from selenium.webdriver.support.ui import WebDriverWait
from support.book import TOC, pages, parsed
from support.browser import PHONE, complaints, resize
from support.checkout import ROOT

from study.claims.verdicts import VERDICTS
from workflow.jobs import SHOWN


@cache
def anchors(page: Path) -> set[str]:
    return {tag[name] for name in ("id", "name") for tag in parsed(page).find_all(attrs={name: True})}


def references(page: Path) -> Iterator[str]:
    """Whatever a page loads or links to."""
    for attribute in ("href", "src", "data", "poster"):
        for tag in parsed(page).find_all(attrs={attribute: True}):
            yield tag[attribute]
    for style in parsed(page).find_all(style=True):
        yield from re.findall(r"url\(['\"]?([^'\")]+)", style["style"])


def broken(page: Path, html: Path) -> Iterator[str]:
    """The references of a page that lead nowhere, within the book."""
    for reference in references(page):
        parts = urlsplit(reference)
        if parts.scheme or parts.netloc or not reference.strip("#"):
            continue
        path, anchor = urldefrag(reference)
        target = (page.parent / unquote(urlsplit(path).path)).resolve() if path else page
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file() or not target.is_relative_to(html.resolve()):
            yield f"{page.name}: {reference}"
        elif anchor and target.suffix == ".html" and unquote(anchor) not in anchors(target):
            yield f"{page.name}: {reference} (no such place on that page)"


def test_every_page_of_the_contents_is_there(html: Path) -> None:
    assert [name for name in TOC if not (html / f"{name}.html").is_file()] == []


def test_every_notebook_is_in_the_contents() -> None:
    notebooks = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    shown = {f"notebooks/{profile}/{name}" for profile in SHOWN for name in SHOWN[profile]}
    assert notebooks - {"notebooks/playground"} | shown == {name for name in TOC if name.startswith("notebooks/")}


def test_every_reference_leads_somewhere(html: Path) -> None:
    assert [text for page in pages(html) for text in broken(page, html)] == []


def test_nothing_is_loaded_from_elsewhere(html: Path) -> None:
    """The book can be read offline."""
    loaded = []
    for page in pages(html):
        tags = parsed(page).find_all(["script", "img", "iframe", "source", "object", "embed"])
        tags += parsed(page).find_all("link", rel=["stylesheet", "preload", "icon", "modulepreload"])
        for tag in tags:
            source = tag.get("src") or tag.get("href") or tag.get("data") or ""
            if urlsplit(source).netloc:
                loaded.append(f"{page.name}: {source}")
    assert loaded == []


@pytest.mark.parametrize("name", TOC)
def test_nothing_is_left_unresolved(html: Path, name: str) -> None:
    page = parsed(html / f"{name}.html")
    article = copy(page.find("article"))  # the parsed page is shared
    assert article is not None
    for tag in article.find_all(["pre", "code"]):  # code may look like anything
        tag.decompose()
    text = article.get_text(" ")
    assert not re.search(r"\{(glue|numref|ref|cite|eq|doc)\b|\?\?|Fig\. %s|Table %s|Traceback", text)
    assert page.find_all(class_=["problematic", "system-message"]) == []


@pytest.mark.parametrize("name", [f"{prefix}fig{n}" for prefix in ("", "cpu/") for n in range(4, 10)])
def test_every_result_shows_its_provenance_where_it_stands(html: Path, name: str) -> None:
    """In its notebook, and on the page of the book that shows it: below the figure, folded."""
    assert parsed(html / "notebooks" / f"{name}.html").select("details.provenance")
    shown = [
        image
        for page in TOC
        if not page.startswith("notebooks/")
        for image in parsed(html / f"{page}.html").select("article img")
        if re.search(rf"{Path(name).name}\d*\.svg$", image["src"])  # Sphinx numbers those of equal names
    ]
    assert shown
    for image in shown:
        below = image.find_next("details", class_="provenance")
        assert below is not None
        assert f"notebooks/{Path(name).name}.ipynb" in below.get_text()


def test_every_picture_says_what_it_shows(html: Path) -> None:
    silent = [
        f"{name}: {image['src']}"
        for name in TOC
        if not name.startswith("notebooks/")
        for image in parsed(html / f"{name}.html").select("article img")
        if not image.get("alt", "").strip() or image["alt"].endswith(".svg")
    ]
    assert silent == []


def overflow(browser: Any) -> int:
    """By how many pixels the page is wider than the window."""
    return int(browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth"))


def blank_images(browser: Any) -> list[str]:
    """Pictures that do not show, all of them having been asked to load."""
    script = """
        const done = arguments[arguments.length - 1];
        const images = [...document.querySelectorAll('article img')];
        images.forEach(image => { image.loading = 'eager'; });
        Promise.all(images.map(image => image.decode().catch(() => null)))
            .then(() => done(images.filter(image => !image.naturalWidth).map(image => image.src)));
    """
    return list(browser.execute_async_script(script))


@pytest.mark.parametrize("name", ["index", *TOC])
def test_a_browser_shows_the_page(browser: Any, address: str, name: str) -> None:
    resize(browser, PHONE)
    complaints(browser)
    browser.get(f"{address}/{name}.html")
    assert blank_images(browser) == []
    assert overflow(browser) <= 0
    assert complaints(browser) == []


def test_the_front_page_leads_into_the_book(browser: Any, address: str) -> None:
    browser.get(f"{address}/index.html")
    for _ in range(50):
        if "intro.html" in browser.current_url:
            break
        threading.Event().wait(0.1)
    assert "intro.html" in browser.current_url


def test_a_page_can_be_read_from_the_disk(browser: Any, html: Path) -> None:
    complaints(browser)
    browser.get((html / f"{TOC[0]}.html").resolve().as_uri())
    assert blank_images(browser) == []
    assert complaints(browser) == []


def test_networks_run_in_the_book_read_from_the_disk(browser: Any, html: Path) -> None:
    """More of that page: tests/book/test_try_page.py."""
    complaints(browser)
    browser.get((html / "try.html").resolve().as_uri())
    started = """
        const { size, network } = document.forms['try-form'].elements;
        if (!network.value || document.getElementById('try-choices').disabled) return false;
        for (const [choice, value] of [[size, '64'], [network, 'rrrr-A-16']]) {
            choice.value = value;
            choice.dispatchEvent(new Event('change'));
        }
        document.querySelector('#try-form [type=submit]').click();
        return true;
    """
    WebDriverWait(browser, 60).until(lambda _: browser.execute_script(started))
    WebDriverWait(browser, 120).until(lambda _: "All 10 iterations were done" in browser.page_source)
    assert complaints(browser) == []


def test_what_one_page_needs_is_not_loaded_by_others(html: Path) -> None:
    scripts = {page.name for page in pages(html) if parsed(page).find("script", src=re.compile("_static/try"))}
    assert scripts == {"try.html"}


@pytest.mark.parametrize("name", ["ael", "orl", "number", "placement", "datasets", "tradeoff", "order", "statistics"])
def test_a_page_opens_with_what_the_paper_says_and_the_verdicts(html: Path, name: str) -> None:
    first = parsed(html / f"{name}.html").select_one("article :is(.paper-says, figure, details)")
    assert first is not None
    assert "paper-says" in first["class"]
    for row in first.select("tbody tr"):
        verdict, *shared = (cell.get_text(strip=True).split(",")[0] for cell in row.select("td")[1:])
        assert verdict in VERDICTS
        assert set(shared) <= {*VERDICTS, "\N{EN DASH}"}


def test_a_page_loads_no_renderer_and_no_icons_that_it_does_not_use(html: Path) -> None:
    for page in pages(html):
        renderer = parsed(page).find("script", src=re.compile("mathjax"))
        assert (renderer is None) == (parsed(page).select("article .math") == []), page.name
    icons = (html / "_static" / "scripts" / "fontawesome.js").read_text()
    assert len(icons) < 150_000
    used = {name for page in pages(html) for tag in parsed(page).select(".fa-solid") for name in tag["class"]}
    assert "fa-magnifying-glass" in used
    for name in used - {"fa-solid", "fa-lg"}:
        assert not name.startswith("fa-") or re.search(rf'["{{,]{name[3:]}"?:\[', icons), name


@pytest.mark.parametrize("name", [name for name in TOC if "/" not in name])
def test_little_comes_before_a_page_is_seen(html: Path, name: str) -> None:
    """The page, its styles and the scripts that hold it up: at 1.6 Mbit/s, 200 kB take a second."""
    page = html / f"{name}.html"
    tags = parsed(page).select('link[rel="stylesheet"], script[src]:not([defer]):not([async]):not([type="module"])')
    waited_for = {page, *((page.parent / re.sub(r"\?.*", "", tag.get("href") or tag["src"])).resolve() for tag in tags)}
    assert sum(path.stat().st_size for path in waited_for) < 400_000
