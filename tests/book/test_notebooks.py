"""Every notebook as it is stored; the workflow executes them, and nbval some of them again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import papermill
import pytest
from support.checkout import BIN, ROOT, Checkout, run

from agm.config import field_owners
from workflow.jobs import figures_of

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BATCH = [path for path in PATHS if path.stem != "playground"]
each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "code") -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


ANEW = r"""
[figures have dates]
regex: (?s)<\?xml.*</svg>
replace: figure
[objects have addresses]
regex: at 0x[0-9a-f]+
replace: at
[tables have names]
regex: T_[0-9a-f]{5}
replace: T
"""


def test_executed_again_they_show_what_the_book_shows(checkout: Checkout, tmp_path: Path) -> None:
    """nbval compares, cell by cell, with what papermill kept: one that is drawn from the code, one from runs."""
    for name in ("assumptions", "order"):
        shutil.copy(checkout.root / "book" / "notebooks" / f"{name}.ipynb", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "anew.cfg").write_text(ANEW)
    how = ("--nbval-current-env", "--nbval-cell-timeout=300", "--nbval-sanitize-with=anew.cfg")
    command = [BIN / "pytest", "--nbval", *how, "-q", "."]
    environment = os.environ | dict.fromkeys(("AGM_HOME", "PYTHONPATH"), str(checkout.root))
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@each
def test_one_cell_holds_the_parameters(path: Path) -> None:
    tagged = ["parameters" in cell["metadata"].get("tags", []) for cell in cells(path)]
    assert tagged == [True] + [False] * (len(tagged) - 1)


@each
def test_the_parameters_bear_the_names_of_the_configuration(path: Path) -> None:
    known = papermill.inspect_notebook(str(path))
    others = {"profile", "seeds", "out", "measure", "metric", "folder", "image", "recorded", "own", "size"}
    assert set(known) - field_owners().keys() <= others
    assert known["profile"]["default"] == '"quick"'


@each
def test_the_first_cell_says_what_it_is(path: Path) -> None:
    assert cells(path, "markdown")[0]["source"][0].startswith("# ")


def test_no_outputs_are_stored() -> None:
    done = run(ROOT, BIN / "nbstripout", "--verify", *PATHS)
    assert done.returncode == 0, done.stdout


def test_each_is_listed_where_notebooks_are_listed() -> None:
    listed = (ROOT / "notebooks" / "README.md").read_text()
    for path in PATHS:
        assert f"| `{path.stem}` |" in listed
        figures = ", ".join(f"`{name}.svg`" for name in figures_of(path)) or "none"
        assert re.search(rf"^\| `{path.stem}` \|.*\| {re.escape(figures)} \|", listed, re.MULTILINE), path.stem


def test_papermill_alone_works_and_a_misspelt_parameter_is_refused_by_name(checkout: Checkout, tmp_path: Path) -> None:
    command = [BIN / "papermill", "notebooks/fig4.ipynb", tmp_path / "out.ipynb", "--no-progress-bar"]
    assert run(checkout.root, *command, "-p", "profile", "smoke").returncode == 0
    for parameter, message in (("profile smok", "unknown profile 'smok'"), ("epohcs 3", "unknown parameter 'epohcs'")):
        done = run(checkout.root, *command, "-p", *parameter.split())
        assert done.returncode != 0
        assert message in done.stdout


def test_widgets_are_for_the_playground_alone() -> None:
    """They have hung notebooks that run without a browser."""
    for path in BATCH:
        source = "".join(line for cell in cells(path) for line in cell["source"])
        assert "widgets" not in source
        assert "study.playground" not in source


SHOWING = (
    *(f"fig{n}" for n in range(1, 10)),
    "table1",
    "order",
    "claims",
    "pictures",
    "statistics",
    "anytime",
    "schedules",
    "frontier",
)


@pytest.mark.parametrize("name", SHOWING)
def test_every_result_says_what_it_was_made_with_and_invites_to_change_it(name: str) -> None:
    path = ROOT / "notebooks" / f"{name}.ipynb"
    source = "".join(line for cell in cells(path) for line in cell["source"])
    assert f'glue("{name}_provenance", made, display=False)' in source
    assert "## Change this" in cells(path, "markdown")[-1]["source"][0]
