"""benchmarks/runtimes.py measures what it says."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.anytime import weights

from agm import Generator, GeneratorConfig, Schedule, runs
from agm.anytime.stepper import Plain, iterate
from benchmarks import runtimes


def test_rows(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    weights(home / "w.safetensors")
    monkeypatch.setitem(runtimes.RUNTIMES, "openvino", lambda generator, folder: __import__("not_there"))
    names = ("plain", "channels_last", "onnxruntime", "openvino", "engine")
    arguments = [
        "--models",
        str(home / "w.safetensors"),
        "--size",
        "5",
        "--rounds",
        "1",
        "--out",
        str(home / "out.json"),
    ]
    monkeypatch.setattr("sys.argv", ["runtimes", *arguments, "--schedule", "x--x (1) - xxxx (1)", "--runtimes", *names])
    runtimes.main()
    assert "openvino: left out, not_there is not installed\n" in capsys.readouterr().err
    rows = {row["runtime"]: row for row in json.loads((home / "out.json").read_text())["rows"]}
    assert list(rows) == [name for name in names if name != "openvino"]
    assert all(0 < row["ms"][0] < row["ms"][1] for row in rows.values())
    assert (rows["plain"]["psnr"], rows["plain"]["largest"]) == (None, 0)
    for name in ("channels_last", "onnxruntime", "engine"):
        assert rows[name]["largest"] < 1e-5


def test_the_compiled_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is the step which is compiled, and in place of the plain one; not what a compiler makes of it."""
    compiled = []

    def compile_(function: object) -> object:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    generator = runs.load(weights(tmp_path / "w.safetensors"))
    schedule, x = Schedule.parse("xxxx (2)"), torch.rand(1, 3, 4, 4)
    found, wanted = (
        torch.stack(list(iterate(stepper, schedule, x))) for stepper in (runtimes.Compiled(generator), Plain(generator))
    )
    assert torch.equal(found, wanted)
    assert [function.__name__ for function in compiled] == ["step"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "config",
    [
        GeneratorConfig(layers="rnrr", width=4),
        GeneratorConfig(layers="nrnr", width=4, base="light", feedback="features", residual=True),
        GeneratorConfig(layers="rrnn", width=4, base="light", feedback="bicubic", residual=True),
    ],
    ids=["paper", "features", "bicubic"],
)
def test_iterations_for_ncnn(config: GeneratorConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stepper around ncnn gives the images of plain torch. Torch stands in for ncnn itself."""

    def network(stepper: object, iteration: runtimes.Iteration, tensors: object) -> SimpleNamespace:
        @contextlib.contextmanager
        def extractor() -> Iterator[SimpleNamespace]:
            given: dict[str, Any] = {}

            def extract(name: str) -> tuple[int, Any]:
                tensors = [torch.from_numpy(given[f"in{i}"])[None] for i in range(len(given))]
                return 0, iteration(*tensors)[int(name.removeprefix("out"))][0].numpy()

            yield SimpleNamespace(input=given.__setitem__, extract=extract)

        return SimpleNamespace(create_extractor=extractor)

    monkeypatch.setitem(sys.modules, "ncnn", SimpleNamespace(Mat=lambda array: array))
    monkeypatch.setitem(sys.modules, "pnnx", SimpleNamespace(EXEC_PATH=""))
    monkeypatch.setattr(runtimes.Ncnn, "_network", network)
    torch.manual_seed(0)
    generator, x = Generator(config).eval(), torch.rand(1, 3, 5, 6)
    torch.nn.init.normal_(next(generator.d.parameters()), std=0.1)  # zeros would hide what comes before
    schedule = Schedule.parse("---x (1) - x--x (2) - xxxx (2)")
    found, wanted = (torch.stack(list(iterate(s, schedule, x))) for s in (runtimes.Ncnn(generator), Plain(generator)))
    torch.testing.assert_close(found, wanted)
