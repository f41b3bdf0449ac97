"""What a result says about where it was made."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from agm import code, machine


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    code.code_hash.cache_clear()
    yield
    code.code_hash.cache_clear()


def test_description_can_be_recorded() -> None:
    told = machine.describe(torch.device("cpu"))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["threads"] == torch.get_num_threads() == 1
    assert told["device_type"] == "cpu"
    assert told["device"]
    assert told["versions"]["torch"] == torch.__version__
    assert re.fullmatch("[0-9a-f]{12}", told["code"])
    assert re.fullmatch(r"([0-9a-f]{12}\+?)?", told["commit"])


def test_the_code_hash_follows_the_training_code_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(code.CODE, tmp_path / "agm", ignore=shutil.ignore_patterns("__pycache__")))
    original = code.code_hash()
    monkeypatch.setattr(code, "CODE", copy)

    def after_editing(name: str) -> str:
        content = (copy / name).read_text()
        (copy / name).write_text(content + "\n# changed\n")
        code.code_hash.cache_clear()
        changed = code.code_hash()
        (copy / name).write_text(content)
        return changed

    code.code_hash.cache_clear()
    assert code.code_hash() == original
    for name in ("layers.py", "train.py", "step.py", "losses.py", "data/splits.py", "config.py"):
        assert after_editing(name) != original, name
    for name in ("cli.py", "paths.py", "profiles/quick.yml", "machine.py"):
        assert after_editing(name) == original, name


def test_every_part_of_the_training_code_exists() -> None:
    for pattern in code.TRAINING_CODE:
        assert list(code.CODE.glob(f"{pattern}.py")), pattern


@pytest.mark.parametrize(
    ("flags", "program", "hidden"),
    [
        ("fpu amx_bf16", "exit(1)", True),
        ("fpu amx_bf16", "", False),
        ("fpu", "exit(1)", False),
    ],
)
def test_amx_is_hidden_only_where_it_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, program: str, hidden: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "AMX", program)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    machine.hide_broken_amx()
    assert ("ONEDNN_MAX_CPU_ISA" in os.environ) == hidden
