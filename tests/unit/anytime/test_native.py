"""The compiled kernels do what torch does, and where they cannot be had the engine goes on without."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from support.modules import SCHEDULES, used
from torch import Tensor

from agm import Generator, Schedule
from agm.anytime.engine import compiler, native
from agm.anytime.engine.engine import Engine
from agm.anytime.engine.filtering import Filtering, Source
from agm.anytime.engine.native import NativeFiltering
from agm.anytime.stepper import iterate
from agm.config import ORL_CONFIGURATIONS, Statistics

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for what is compiled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native.library.cache_clear()
    yield tmp_path / "agm"
    native.library.cache_clear()


def compiled(engine: Engine) -> bool:
    return any(isinstance(layer.filtering, NativeFiltering) for layer in engine.layers)


def compare(layers: str, schedule: str, statistics: Statistics = "iteration", **fields: Any) -> None:
    """With the images in 64 bits."""
    fields = {"layers": layers, "width": 16, **fields}
    generator, exact = used(**fields), used(**fields).double()
    torch.manual_seed(1)
    x, parsed = torch.rand(2, 3, 7, 6), Schedule.parse(schedule)
    engine = Engine(generator, statistics)
    assert compiled(engine)
    found = torch.stack(list(iterate(engine, parsed, x)))
    with torch.no_grad():
        wanted = torch.stack(list(exact.iterate(x.double(), parsed, statistics)))
    assert wanted.std() > 0.01
    assert (found - wanted).abs().max() < 1e-5 * max(1, wanted.abs().max())


@needs_compiler
@pytest.mark.parametrize("layers", ORL_CONFIGURATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_network_under_every_schedule(layers: str, schedule: str) -> None:
    compare(layers, schedule)


@needs_compiler
@pytest.mark.parametrize("statistics", ["shared", "iteration"])
@pytest.mark.parametrize(
    "fields",
    [
        *({"residual": True}, {"feedback": "bicubic"}),
        *({"base": "light"}, {"base": "light", "feedback": "bicubic"}),
        *({"base": "light", "width": 20}, {"base": "paper", "width": 20}),  # 20: no whole vectors
    ],
    ids=lambda fields: " ".join(map(str, fields.values())),
)
def test_every_option(fields: dict[str, Any], statistics: Statistics) -> None:
    for layers in ("rnrn", "nrnr"):
        compare(layers, "B", statistics, **fields)


def pair(outputs: int, inputs: int, gates: int) -> tuple[NativeFiltering, Filtering, Tensor]:
    weight = torch.randn(outputs, inputs, 3, 3) / (3 * inputs**0.5)
    assert native.fits(weight, gates, 16)
    bias = torch.randn(outputs)
    return NativeFiltering(weight, bias, gates), Filtering(weight, bias, gates), weight


@needs_compiler
@given(
    n=st.integers(1, 3),
    height=st.integers(1, 21),
    width=st.integers(1, 21),
    inputs=st.sampled_from([16, 17, 48]),
    outputs=st.sampled_from([16, 24, 31, 48, 144]),
    threads=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_any_size_on_any_number_of_threads(
    n: int, height: int, width: int, inputs: int, outputs: int, threads: int
) -> None:
    torch.manual_seed(0)
    found, _, weight = pair(outputs, inputs, 1)
    x, around = torch.randn(n, height, width, inputs), torch.randn(n, height, width, outputs)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        y = found.raw(Source([x]))
        changed = found.norm(Source([x]), 0.2, shift=around)
    finally:
        torch.set_num_threads(before)
    wanted = F.conv2d(x.permute(0, 3, 1, 2).double(), weight.double(), padding=1).permute(0, 2, 3, 1)
    torch.testing.assert_close(y.double(), wanted, rtol=0, atol=3e-5)
    assert found.bias is not None
    wanted = F.leaky_relu(wanted + found.bias, 0.2) + around
    torch.testing.assert_close(changed.double(), wanted, rtol=0, atol=3e-5)


@needs_compiler
def test_large_enough_for_several_chunks_and_blocks() -> None:
    torch.manual_seed(0)
    found, _, weight = pair(4 * 96, 256, 4)
    x = torch.randn(1, 50, 70, 256)
    y = found.raw(Source([x]), first=1)
    wanted = F.conv2d(x.permute(0, 3, 1, 2).double(), weight[96:].double(), padding=1)
    torch.testing.assert_close(y.permute(0, 3, 1, 2).double(), wanted, rtol=0, atol=1e-4)


@needs_compiler
def test_all_at_once_as_torch_does_it() -> None:
    """Two parts of which the first is upsampled, an input that is left out, an addend, and a cell."""
    torch.manual_seed(0)
    found, other, _ = pair(4 * 16, 16 + 32 + 16, 4)
    parts = [torch.randn(2, 6, 4, 32), torch.randn(2, 12, 8, 16)]
    added, cell = torch.randn(2, 12, 8, 64), torch.randn(2, 12, 8, 16)
    source = Source(parts, 16, True, added)
    h, new = found.gates(source, cell.clone())
    expected_h, expected = other.gates(source, cell)
    torch.testing.assert_close(h, expected_h, rtol=0, atol=1e-4)
    torch.testing.assert_close(new, expected, rtol=0, atol=1e-4)


@needs_compiler
def test_gates_far_from_zero() -> None:
    """Sigmoid and tanh where they no longer change, and what is not a number stays so."""
    found = NativeFiltering(torch.randn(4 * 16, 16, 3, 3), None, 4)
    values = torch.tensor([-1e30, -200.0, -30.0, 0.0, 30.0, 200.0, 1e30, torch.nan])
    added = values.view(1, 1, 8, 1).expand(1, 1, 8, 64).contiguous()
    cell = torch.full((1, 1, 8, 16), 0.5)
    h, new = found.gates(Source([torch.zeros(1, 1, 8, 16)], share=added), cell)
    z = values.double()
    exact = torch.sigmoid(z) * 0.5 + torch.sigmoid(z) * torch.tanh(z)
    torch.testing.assert_close(new[0, 0, :, 3].double(), exact, rtol=0, atol=1e-6, equal_nan=True)
    torch.testing.assert_close(
        h[0, 0, :, 3].double(), torch.sigmoid(z) * torch.tanh(exact), rtol=0, atol=1e-6, equal_nan=True
    )


@needs_compiler
@pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86's registers")
def test_numbers_too_small_to_be_fast_count_as_zero() -> None:
    """1e-39, next to 2, would take the products a hundred times as long."""
    found = NativeFiltering(torch.ones(16, 16, 3, 3), None, 1)
    assert found.norm(Source([torch.full((1, 8, 8, 16), 1e-39)]), 1.0).count_nonzero() == 0
    assert torch.full((1,), 1e-39).mul(2).item() > 0  # elsewhere they stay


@needs_compiler
def test_compiled_once(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert native.library() is not None
    (kept,) = fresh.iterdir()
    native.library.cache_clear()
    monkeypatch.setattr(compiler, "_run", lambda _: pytest.fail("compiled again"))
    assert native.library() is not None
    assert list(fresh.iterdir()) == [kept]


@pytest.mark.parametrize("name", ["no-such-compiler", "false", "'"])
def test_without_a_compiler_torch_does_it(
    name: str, fresh: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", name)
    assert native.library() is None
    assert "slower without" in caplog.text
    assert not compiled(Engine(used(layers="rnrn", width=16)))
    assert not list(fresh.glob("*.so"))


@needs_compiler
def test_where_files_have_no_owners_nothing_is_compiled(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.geteuid")
    assert native.library() is None
    assert not fresh.exists()


@needs_compiler
@pytest.mark.parametrize("place", ["cut", "zeros", "another's words", "writable", "folder", "above", "no folder"])
def test_what_is_not_ours_or_not_whole_is_not_loaded(fresh: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A cut one would end the process; whoever can write could put in another one. It is compiled anew."""
    monkeypatch.setattr("tempfile.tempdir", str(fresh.parent / "tmp"))
    (fresh.parent / "tmp").mkdir()
    assert native.library() is not None
    (kept,) = fresh.iterdir()
    content = kept.read_bytes()
    kept.unlink()  # not in place: this process uses it
    damage = {"cut": content[:8000], "zeros": bytes(len(content)), "another's words": b"#!" + content[2:]}
    kept.write_bytes(damage.get(place, content))
    modes = {"writable": (kept, 0o722), "folder": (fresh, 0o777), "above": (fresh.parent, 0o777)}
    if place in modes:
        modes[place][0].chmod(modes[place][1])
    if place == "no folder":
        monkeypatch.setenv("XDG_CACHE_HOME", str(kept))
    native.library.cache_clear()
    run = compiler._run
    compiled: list[Any] = []
    monkeypatch.setattr(compiler, "_run", lambda command: (compiled.append(command), run(command)))
    assert native.library() is not None
    assert len(compiled) == 1
    native.library.cache_clear()
    assert native.library() is not None
    assert len(compiled) == (2 if place == "above" else 1)  # below it there is no safe place at all


@needs_compiler
def test_a_compiler_that_hangs_is_ended_with_its_children_and_remembered(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\nsleep 600 & echo $! > {tmp_path}/child\nwait\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", f"{slow} -m64")
    monkeypatch.setattr(compiler, "PATIENCE", 1.0)
    assert native.library() is None
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split(")")[1]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the compiler's child still runs")
    (tmp_path / "child").unlink()
    native.library.cache_clear()
    assert native.library() is None
    assert not (tmp_path / "child").exists()
    assert "not done within 1 s; delete " in caplog.text


@needs_compiler
def test_a_compiler_with_arguments(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "c++ -O2")
    assert native.library() is not None


@needs_compiler
def test_not_even_where_only_the_sums_of_channels_are_whole_vectors() -> None:
    found = native.library()
    assert found is not None
    assert not compiled(Engine(used(layers="nrnr", width=found.lanes() // 2)))
    assert compiled(Engine(used(layers="nrnr", width=found.lanes())))


@pytest.mark.parametrize("generator", [used(width=4), used(width=16).double()], ids=["narrow", "double"])
def test_what_does_not_fit_is_left_to_torch(generator: Generator) -> None:
    assert not compiled(Engine(generator))
