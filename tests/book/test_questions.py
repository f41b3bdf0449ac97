"""Figures, numbers and links of the book answer a reader's questions, also from the disk and without a network."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from support import axe
from support.book import TOC, parsed
from support.browser import DESKTOP, PHONE, complaints, resize

PROSE = [name for name in TOC if not name.startswith("notebooks/")]
ASKED = {"number": 4, "placement": 5, "datasets": 7, "tradeoff": 8, "statistics": "statistics", "anytime": "speed"}
"""Pages, and one of the figures on each that can be questioned."""


def drawn(browser: Any, address: str, name: str, figure: str) -> Any:
    """The drawing that takes the place of a figure's picture once it is near."""
    browser.get(f"{address}/{name}.html")
    show = """
        const figure = document.getElementById(arguments[0]);
        const fold = figure.closest('details');
        if (fold) fold.open = true;
        figure.scrollIntoView({block: 'center'});
    """
    browser.execute_script(show, figure)
    plots = WebDriverWait(browser, 20).until(lambda _: browser.find_elements(By.CSS_SELECTOR, f"#{figure} .plot"))
    return plots[0]


def point_at(browser: Any, plot: Any, left: float, top: float) -> str:
    """What a figure says of a place, in shares of its width and height."""
    place = """
        const [svg, left, top] = arguments;
        const spot = (box) => [box.left + left * box.width, box.top + top * box.height];
        window.scrollBy(0, spot(svg.getBoundingClientRect())[1] - innerHeight / 2);
        return spot(svg.getBoundingClientRect()).map(Math.round);
    """
    pointer = ActionBuilder(browser)
    svg = plot.find_element(By.TAG_NAME, "svg")
    pointer.pointer_action.move_to_location(*browser.execute_script(place, svg, left, top))
    pointer.perform()
    return str(plot.find_element(By.CSS_SELECTOR, ".plot-tip").text)


@pytest.mark.parametrize("name", ASKED)
def test_a_figure_tells_its_values_and_hides_its_series(browser: Any, html: Path, name: str) -> None:
    resize(browser, DESKTOP)
    complaints(browser)
    plot = drawn(browser, html.resolve().as_uri(), name, f"fig-{ASKED[name]}")
    line = plot.find_elements(By.CSS_SELECTOR, "[data-x*='|']")[-1]
    series, x, y, at = (line.get_attribute(f"data-{key}") for key in ("series", "x", "y", "at"))
    left, top = map(float, at.split("|")[0].split())
    for button in plot.find_elements(By.TAG_NAME, "button"):  # the other series: at this place points may coincide
        if button.accessible_name != series and button.get_attribute("aria-pressed") == "true":
            button.send_keys(Keys.SPACE)
    said = point_at(browser, plot, left, top)
    assert said.startswith(f"{series}\n")
    assert x.split("|")[0] in said
    assert y.split("|")[0] in said
    (own, *_) = [each for each in plot.find_elements(By.TAG_NAME, "button") if each.accessible_name == series]
    assert own.get_attribute("aria-pressed") == "true"
    own.send_keys(Keys.SPACE)
    assert own.get_attribute("aria-pressed") == "false"
    assert float(line.value_of_css_property("opacity")) < 0.2
    assert point_at(browser, plot, left, top) == ""
    assert axe.violations(browser) == []
    # A JupyterLab that an earlier test looked at may have asked for its server until this page came.
    assert [complaint for complaint in complaints(browser) if "/api/" not in complaint] == []


def test_drawings_on_one_page_do_not_share_names(browser: Any, address: str) -> None:
    resize(browser, DESKTOP)
    drawn(browser, address, "tradeoff", "fig-8")
    drawn_too = "document.querySelector('#fig-9').scrollIntoView(); return document.querySelectorAll('.plot').length"
    WebDriverWait(browser, 20).until(lambda _: browser.execute_script(drawn_too) > 1)
    names = browser.execute_script("return [...document.querySelectorAll('.plot [id]')].map((part) => part.id)")
    assert len(names) == len(set(names)) > 100


@pytest.mark.parametrize("name", PROSE)
def test_figures_of_series_give_their_numbers_away(html: Path, name: str) -> None:
    for image in parsed(html / f"{name}.html").select("article img.series"):
        link = image.find_next("p", class_="downloads").find("a", string="Data (CSV)")
        with (html / link["href"]).open() as file:
            rows = list(csv.DictReader(file))
        entries = set(re.findall('data-entry="(.*?)"', (html / image["src"]).read_text())) - {"the claim holds"}
        assert {row["series"] for row in rows} >= entries
        assert all(row["x"] or row["y"] for row in rows)
    if name in ASKED:
        assert parsed(html / f"{name}.html").select("article figure img.series")


@pytest.mark.parametrize("name", PROSE)
def test_every_number_leads_to_the_cell_that_made_it(html: Path, name: str) -> None:
    page = html / f"{name}.html"
    numbers = parsed(page).select("article .pasted-text")
    for number in (number for number in numbers if number.get_text()):  # a checkout without git names no commit
        assert number.parent is not None
        assert "made" in number.parent.get("class", []), number
        target, cell = str(number.parent["href"]).split("#")
        made = parsed((page.parent / target).resolve()).find(id=cell)
        assert made is not None, number
        assert "glue" in made.get_text()


@pytest.mark.parametrize(
    ("name", "link", "shown"),
    [
        ("claims", "a[href*='#term-']", "p"),
        ("setup", "a[href^='references.html#']", "p"),
        ("setup", "a[href^='losses.html#equation-']", "mjx-container svg"),
        ("claims", "a[href$='#fig-4']", "img[src$='.svg']"),
    ],
)
def test_a_link_shows_what_it_leads_to(browser: Any, html: Path, name: str, link: str, shown: str) -> None:
    resize(browser, DESKTOP)
    complaints(browser)
    browser.get((html / f"{name}.html").resolve().as_uri())
    found = browser.find_element(By.CSS_SELECTOR, f"article {link}")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    preview = browser.find_element(By.ID, "preview")
    assert not preview.is_displayed()
    ActionChains(browser).move_to_element(found).perform()
    WebDriverWait(browser, 10).until(lambda _: preview.is_displayed())
    WebDriverWait(browser, 10).until(lambda _: preview.find_elements(By.CSS_SELECTOR, shown))
    assert [text for text in axe.violations(browser) if "#preview" in text] == []  # the link changes its colour
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    assert not preview.is_displayed()
    assert complaints(browser) == []


@pytest.mark.parametrize("name", TOC)
def test_tables_are_short_or_folded(html: Path, name: str) -> None:
    for table in parsed(html / f"{name}.html").select("article table:not(.field-list)"):
        assert len(table.select("tbody tr")) <= 10 or table.find_parent("details"), table.get_text(" ")[:100]


@pytest.mark.parametrize("name", PROSE)
def test_letters_of_figures_can_be_read_on_a_telephone(browser: Any, address: str, html: Path, name: str) -> None:
    """Nine pixels, whether the figure stands in a fold or not."""
    resize(browser, PHONE)
    browser.get(f"{address}/{name}.html")
    widths = """
        document.querySelectorAll('article details').forEach((fold) => { fold.open = true; });
        return [...document.querySelectorAll('article img[src$=".svg"]')].map((image) =>
            [image.getAttribute('src'), image.getBoundingClientRect().width]);
    """
    for source, width in browser.execute_script(widths):
        svg = (html / source).read_text()
        drawn_at = float(re.findall(r'viewBox="0 0 (\S+) ', svg)[0])
        sizes = {100 * float(scale) for scale in re.findall(r"scale\(([\d.]+) -[\d.]+\)", svg)}
        assert not sizes or min(sizes) * width / drawn_at >= 9, source
