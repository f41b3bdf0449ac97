"""The built book: every page is there, every link leads somewhere, and a browser shows it."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from support.checkout import ROOT, Checkout

from workflow.plan import SHOWN

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PHONE = (375, 740)


def toc_files(node: Any) -> Iterator[str]:
    """Every page that a table of contents names."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key in ("root", "file"))
        yield from (name for value in node.values() for name in toc_files(value))
    elif isinstance(node, list):
        yield from (name for value in node for name in toc_files(value))


TOC = list(toc_files(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())))


@pytest.fixture(scope="module")
def html(checkout: Checkout) -> Path:
    assert (checkout.html / "index.html").is_file(), checkout.first.stdout
    return checkout.html


@cache
def parsed(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(), "html.parser")


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


def pages(html: Path) -> list[Path]:
    """All pages; the theme leaves a template among the static files."""
    return sorted(page for page in html.resolve().rglob("*.html") if "_static" not in page.parts)


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
    article = page.find("article")
    assert article is not None
    for tag in article.find_all(["pre", "code"]):  # code may look like anything
        tag.decompose()
    text = article.get_text(" ")
    assert not re.search(r"\{(glue|numref|ref|cite|eq|doc)\b|\?\?|Fig\. %s|Table %s|Traceback", text)
    assert page.find_all(class_=["problematic", "system-message"]) == []


def test_every_picture_says_what_it_shows(html: Path) -> None:
    silent = [
        f"{name}: {image['src']}"
        for name in TOC
        if not name.startswith("notebooks/")
        for image in parsed(html / f"{name}.html").select("article img")
        if not image.get("alt", "").strip() or image["alt"].endswith(".svg")
    ]
    assert silent == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def address(html: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(html))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver here (Debian: apt install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(120)
    yield driver
    driver.quit()


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
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": PHONE[0], "height": PHONE[1], "deviceScaleFactor": 1, "mobile": True},
    )
    browser.get_log("browser")
    browser.get(f"{address}/{name}.html")
    assert blank_images(browser) == []
    assert overflow(browser) <= 0
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_front_page_leads_into_the_book(browser: Any, address: str) -> None:
    browser.get(f"{address}/index.html")
    for _ in range(50):
        if "intro.html" in browser.current_url:
            break
        threading.Event().wait(0.1)
    assert "intro.html" in browser.current_url


def test_a_page_can_be_read_from_the_disk(browser: Any, html: Path) -> None:
    browser.get_log("browser")
    browser.get((html / f"{TOC[0]}.html").resolve().as_uri())
    assert blank_images(browser) == []
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
