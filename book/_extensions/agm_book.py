"""What the book needs of Sphinx beyond its settings."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import book_links
import book_plots
import book_previews
import book_search
import book_weight
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

ROOT = Path(__file__).parents[2]
SHOWN_AGAIN = re.compile(r"(?<=/notebooks/)[a-z]+/(?=\w+\.ipynb$)")
"""The folder of a notebook that is executed once more, for recorded runs: notebooks/cpu/fig4.ipynb."""
FIELD = re.compile(r"`\w+`(, `\w+`)*( and `\w+`)?: ")
"""How a docstring begins what it says about a parameter."""
MOST_ROWS = 10


def launch_nothing_from_nowhere(app: Sphinx, config: Config) -> None:
    """No buttons as long as `_config.yml` names no repository; the theme would fail."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options["launch_buttons"] = {}


def launch_the_source(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """All pages of a notebook launch the one notebook that there is in the repository."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            for button in group["buttons"]:
                button["url"] = SHOWN_AGAIN.sub("", button["url"])


def plain_prose(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    """Docstrings have a line for each parameter, which reStructuredText would run together, and |x| is a norm."""
    lines[:] = [line.replace("|", r"\|") for line in lines if not line.startswith("Alias for field number")]
    for i in reversed(range(1, len(lines))):
        if FIELD.match(lines[i]):
            lines.insert(i, "")


def date_pages(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """At each page's foot: its source, when that last changed, and in which commit, where git knows."""
    if page in app.env.found_docs:
        source = SHOWN_AGAIN.sub("", f"/{app.env.doc2path(page, False)}")[1:]
        source = source if source.startswith("notebooks/") else f"book/{source}"
        if found := changes().get(source):
            context["last_updated"] = f"{found[0]} ({source}, commit {found[1]})"


@cache
def changes() -> dict[str, tuple[str, str]]:
    """A file of the repository -> date and commit of its last change. Empty without git or outside a clone."""
    command = ["git", "log", "--format=:%cs %h", "--name-only", "--no-renames", "--", "book", "notebooks"]
    try:
        log = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, tuple[str, str]] = {}
    at = ("", "")
    for line in log.splitlines():
        if line.startswith(":"):
            date, _, commit = line[1:].partition(" ")
            at = date, commit
        elif line:
            found.setdefault(line, at)
    return found


def formulas_alone(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """No renderer on pages without formulas: Sphinx counts all chapters' as the first page's own."""
    if app.builder.name == "html" and not app.env.get_domain("math").data["has_equations"].get(page):
        context["script_files"] = [file for file in context["script_files"] if "mathjax" not in str(file.filename)]


def long_tables_folded(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """More than ten rows of a notebook's output are a click away; on paper they stay."""
    if app.builder.name == "html":
        for output in doctree.findall(nodes.raw):
            text = output.astext()
            rows = text.partition("<tbody")[2].count("<tr")
            if rows > MOST_ROWS and not _in_a_fold(output):
                output[:] = [nodes.Text(f"<details class='long'><summary>All {rows} rows</summary>{text}</details>")]


def _in_a_fold(node: nodes.Node) -> bool:
    return node.parent is not None and (type(node.parent).__name__ == "dropdown_main" or _in_a_fold(node.parent))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", launch_nothing_from_nowhere)
    app.connect("html-page-context", launch_the_source, priority=900)  # the theme has added its buttons by then
    app.connect("html-page-context", formulas_alone, priority=900)
    app.connect("html-page-context", date_pages)
    app.connect("doctree-resolved", long_tables_folded)
    app.connect("doctree-resolved", book_plots.offer)
    app.connect("html-page-context", book_plots.load)
    app.connect("build-finished", book_plots.write)
    app.connect("build-finished", book_previews.embed)
    app.connect("build-finished", book_weight.lighten)  # it looks at all that is there
    app.connect("build-finished", book_search.write)  # then the words, which that would take for names of styles
    app.add_post_transform(book_links.LinkNumbers)
    app.connect("autodoc-process-docstring", plain_prose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
