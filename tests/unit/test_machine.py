"""What a result says about where it was made."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch

from agm import machine


def test_description_can_be_recorded() -> None:
    told = machine.describe(torch.device("cpu"))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["threads"] == torch.get_num_threads() == 1
    assert told["device_type"] == "cpu"
    assert told["device"]
    assert told["versions"]["torch"] == torch.__version__
    assert re.fullmatch("[0-9a-f]{12}", told["code"])
    assert re.fullmatch(r"([0-9a-f]{12}\+?)?", told["commit"])


@pytest.mark.parametrize("there", [True, False])
def test_apples_gpu_is_used_where_torch_has_it(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    waited = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    if there:
        assert machine.choose("mps") == "mps"
        machine.synchronize(torch.device("mps"))
        assert waited == ["mps"]
    else:
        with pytest.raises(machine.AgmError, match="device 'mps' was asked for, but torch sees no GPU"):
            machine.choose("mps")


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
    machine.hide_broken_amx.__wrapped__()  # it does so once in a process
    assert ("ONEDNN_MAX_CPU_ISA" in os.environ) == hidden
