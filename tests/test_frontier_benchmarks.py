"""The measurement of quality against time: fair training, independent metrics, steps that go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from agm import data, files, profiles, runs
from agm.anytime.plain import iterate
from agm.data import to_tensor
from agm.generator import Generator, bicubic
from agm.schedule import Schedule
from benchmarks import frontier
from benchmarks.baselines import ESPCN, IMDN, RIVALS
from benchmarks.measure import macs_per_pixel, quality

SMOKE = profiles.load("smoke").run("cars")
SMALL = ["--profile", "smoke", "--rivals", "bicubic", "espcn", "--rates", "1e-3", "1e-2", "--threads", "1"]
OURS = ["--layers", "nnnr", "--schedules", "A", "--widths", "8", "--residual", "yes"]


@pytest.fixture
def step(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def call(name: str, *arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["frontier", name, *SMALL, *OURS, *arguments])
        return frontier.main()

    return call


def test_operations_per_pixel() -> None:
    # Published for IMDN at x2: 158.8 G for an output of 1280 x 720
    (imdn,) = macs_per_pixel(IMDN().eval().iterate, 16)
    assert round(imdn * 1280 * 720 / 1e8) == 1588
    # By hand: per input pixel 5x5x3x64 + 3x3x64x32 + 3x3x32x12
    (espcn,) = macs_per_pixel(ESPCN().eval().iterate, 16)
    assert espcn == (25 * 3 * 64 + 9 * 64 * 32 + 9 * 32 * 12) / 4


def test_quality_against_scikit_image() -> None:
    part = data.splits(SMOKE.data).test
    measured = quality(RIVALS["bicubic"]().iterate, part)
    images = bicubic(to_tensor(part.low)).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    expected = [
        peak_signal_noise_ratio(high / 255, image, data_range=1) for image, high in zip(images, part.high, strict=True)
    ]
    assert measured["psnr"] == pytest.approx([np.mean(expected)], abs=1e-3)


def test_learning_sees_the_images_of_our_own_runs_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network is given, against what `agm.train` gives: the batches of (seed, epoch)."""
    config, seen = SMOKE.replace(seed=3), []

    class Watched(ESPCN):
        def iterate(self, x: Tensor) -> Iterator[Tensor]:
            seen.append(x)
            return super().iterate(x)

    part = data.splits(config.data).train
    frontier.learn(Watched(), part, 1e-3, config)
    low = to_tensor(part.low)
    expected = []
    for epoch in range(config.training.epochs):
        order = np.random.default_rng([3, epoch]).permutation(len(part))
        expected += [
            low[order[i : i + config.training.batch_size]] for i in range(0, len(part), config.training.batch_size)
        ]
    assert len(seen) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_steps_go_on_where_they_stopped_and_join(
    step: Callable[..., int], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert step("rivals") == 0
    found = sorted((home / "build/frontier/smoke-cars").iterdir())
    assert len(found) == 2 + 3  # bicubic has nothing to sweep; ESPCN: two learning rates, the better one twice
    before = [path.stat().st_mtime_ns for path in found]
    assert step("rivals") == 0
    assert [path.stat().st_mtime_ns for path in found] == before

    assert step("ours", "--list") == 0
    assert "nnnr-8-A-residual seed 0" in capsys.readouterr().out
    assert step("ours", "--seeds", "0") == 0
    timed = ["--sizes", "8", "--rounds", "1", "--seeds", "0", "--engine", "plain"]
    assert step("time", *timed) == 0
    assert step("join", *timed, "--out", str(home / "joined.json")) == 0
    rows = files.read_json(home / "joined.json")["rows"]
    assert [(row["name"], row["iteration"]) for row in rows] == [
        ("bicubic", 1),
        ("espcn", 1),
        *(("nnnr-8-A-residual", t) for t in range(1, 11)),
    ]
    ms = [row["ms"]["8"] for row in rows[2:]]
    assert ms == sorted(ms)
    assert ms[0] > 0
    (run,) = runs.all_runs(home / "build/runs")
    assert [row["psnr"] for row in rows[2:]] == run.test("psnr", "iteration").tolist()


def test_the_better_learning_rate_is_the_one_with_more_validation_psnr(home: Path) -> None:
    for rate, psnr in ((1e-3, 20.0), (3e-3, 22.0), (1e-2, None)):
        meta = {"learning_rate": rate, "validation": {"psnr": [19.0, psnr]}}
        files.write_tensors(home / f"espcn-{rate:g}-0.safetensors", {}, meta)
    assert frontier.best_rate("espcn", 0, home) == 3e-3


@pytest.mark.parametrize("engine", frontier.STEPPERS)
def test_a_stepped_network_is_our_network(engine: str) -> None:
    config, x = SMOKE.generator, torch.rand(1, 3, 8, 8)
    network, schedule = Generator(config).eval(), Schedule.parse(SMOKE.training.schedule)
    with torch.inference_mode():
        expected = list(network.iterate(x, schedule, "iteration"))
    images = iterate(frontier.STEPPERS[engine](network), schedule, x)
    for image, wanted in zip(images, expected, strict=True):
        torch.testing.assert_close(image, wanted, atol=1e-5, rtol=1e-4)
