"""`agm claims` on folders of runs, and what it says when something is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command import refused
from support.made_up import make

from study import profiles
from study.claims.ledger import CLAIMS
from study.experiments import plan

TABLE = plan("table1", profiles.load("smoke"), seeds=[0, 1, 2])
AGM = Callable[..., Any]

REAL = {"fingerprint": "0", "stand_in": "", "images": {"train": 16, "validation": 8, "test": 8}}
"""As if the images were the paper's own."""


@pytest.mark.parametrize(("name", "content"), [("summary.json", "{"), ("config.json", "[]"), ("metrics.csv", '"')])
def test_a_damaged_run_is_named(agm_command: AGM, home: Path, name: str, content: str) -> None:
    path = make(home / "bad", TABLE)[0].folder / name
    path.write_text(content)
    refused(agm_command("claims", "--profile", "smoke", "--root", home / "bad"), path.parent.name)


def test_claims_are_printed(agm_command: AGM, home: Path) -> None:
    make(home / "build" / "runs", TABLE, data=REAL)
    done = agm_command("claims", "--profile", "smoke")
    assert done.code == 0
    lines = done.out.splitlines()
    assert any(line.startswith("+ supported    table-nnnr-best") and "3 seeds" in line for line in lines)
    assert len(lines) == len(CLAIMS)
    assert f"{len(CLAIMS)} claims, 12 runs of profile smoke, precise statistics: " in done.err
    assert agm_command("claims", "--profile", "smoke", "--root", home / "build" / "runs").out == done.out
    other = agm_command("claims", "--profile", "smoke", "--statistics", "batch")
    assert "12 runs of profile smoke, batch statistics" in other.err
    assert "0 runs of profile paper" in agm_command("claims", "--profile", "paper").err
    refused(agm_command("claims", "--statistics", "sharde"), "did you mean 'shared'?")
