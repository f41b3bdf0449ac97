"""The measurement of training speed, small."""

import sys
from pathlib import Path

import pytest

from agm import files
from benchmarks import training


def test_speed_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = "--layers nnnr --width 2 --image-size 16 --batch-size 2 --steps 2 --device cpu --schedule A"
    monkeypatch.setattr(sys, "argv", ["training", *small.split(), "--out", str(tmp_path / "found.json")])
    training.main()
    found = files.read_json(tmp_path / "found.json")
    assert [row["variant"] for row in found["rows"]] == ["eager", "library"]
    for row in found["rows"]:
        assert 0 < row["share_of_matmul"] == pytest.approx(row["flops"] / found["ceiling_flops"])
