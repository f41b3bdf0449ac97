"""The measurement of quality against time: equal training, independent metrics, steps that go on where they stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from support.images import made_up
from support.runs import became
from torch import Tensor

from agm import data, files
from agm.config import RunConfig
from agm.data import to_tensor
from agm.networks.generator import bicubic
from agm.training.loop import train
from agm.training.step import Execution
from benchmarks import frontier
from benchmarks.baselines import ESPCN, IMDN, RIVALS
from benchmarks.measure import macs_per_pixel, quality
from study import profiles
from study.figures import frontier as found

TINY = {"base": "light", "layers": "nnnn", "width": 2, "iterations": 3, "schedule": "---x - x--x - xxxx"}
TINY |= {"image_size": 16, "crops": 8, "batch_size": 4, "epochs": 1, "adversarial_weight": 0.0, "sampling": "prefix"}
TINY |= {"average": 0.9, "validation_images": 2, "test_images": 2}
QUIET = Execution(device="cpu")
SHORT = ["--minutes", "0.002", "--sweep-minutes", "0.001", "--rates", "1e-3", "1e-2", "--rounds", "5"]


def test_operations_per_pixel() -> None:
    # Published for IMDN at x2: 158.8 G for an output of 1280 x 720
    (imdn,) = macs_per_pixel(IMDN().eval().iterate, 16)
    assert round(imdn * 640 * 360 / 1e8) == 1588
    # By hand: per input pixel 5x5x3x64 + 3x3x64x32 + 3x3x32x12
    (espcn,) = macs_per_pixel(ESPCN().eval().iterate, 16)
    assert espcn == 25 * 3 * 64 + 9 * 64 * 32 + 9 * 32 * 12


def test_quality_against_scikit_image() -> None:
    part = data.splits(profiles.load("smoke").run("cars").data).test
    measured = quality(RIVALS["bicubic"]().iterate, part)
    images = bicubic(to_tensor(part.low)).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    expected = [
        peak_signal_noise_ratio(high / 255, image, data_range=1) for image, high in zip(images, part.high, strict=True)
    ]
    assert measured["psnr"] == pytest.approx([np.mean(expected)], abs=1e-3)


@pytest.fixture
def config(home: Path) -> RunConfig:
    """Of a network like ours, on photographs of its own."""
    (home / "photographs").mkdir()
    for i, pixels in enumerate(made_up(12, 40)):
        Image.fromarray(pixels).save(home / "photographs" / f"{i}.png")
    return profiles.load("smoke").run("cars").replace(dataset=str(home / "photographs"), **TINY)


def test_all_see_the_same_crops_in_the_same_order(config: RunConfig) -> None:
    """What a rival is given, against what `agm train` gives: the batches of (seed, epoch)."""
    seen = []

    class Watched(ESPCN):
        def iterate(self, x: Tensor) -> Iterator[Tensor]:
            seen.append(x)
            return super().iterate(x)

    _, steps = frontier.learn(Watched(), 0.002, config)
    part = data.splits(config.data).train
    assert len(seen) == steps > 2
    for number, x in enumerate(seen[:4]):
        epoch, step = divmod(number, 2)
        order = np.random.default_rng([config.seed, epoch]).permutation(8)[4 * step : 4 * step + 4]
        assert torch.equal(x, to_tensor(part.epoch(config.seed, epoch)[1][order]))


def test_a_training_ends_with_its_time_and_gives_the_average(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(frontier.time, "process_time", lambda: 15.0 * next(clock))  # type: ignore[attr-defined]
    seen = []
    monkeypatch.setattr(frontier, "set_rate", lambda adam, rate: seen.append(rate))
    network = ESPCN()
    before = [p.detach().clone() for p in network.parameters()]
    average, steps = frontier.learn(network, 1, config.replace(learning_rate=1e-2, decay="cosine"))
    assert steps == 3  # it looks before each step, 15 seconds apart: at 15, 30 and 45 of 60
    assert seen == pytest.approx([1e-2 * (1 + np.cos(np.pi * done)) / 2 for done in (0.25, 0.5, 0.75)])
    for old, own, new in zip(before, average.parameters(), network.parameters(), strict=True):
        assert 0 < (own - old).abs().max() < (new - old).abs().max()


def test_a_run_is_known_with_those_that_it_went_on_from(config: RunConfig, home: Path) -> None:
    runs = [train(c, home / "build/runs" / c.id, QUIET) for c in (config, config.replace(start=config.id))]
    assert runs[0] is not None
    assert runs[1] is not None
    assert [run.config.id for run in frontier.chain(runs[1])] == [run.config.id for run in runs if run]
    assert frontier.chain(runs[0]) == [runs[0]]


def test_steps_go_on_where_they_stopped_and_join(
    config: RunConfig, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = home / "build/runs" / config.id
    assert became(train(config, run, QUIET)) == "finished"
    for folder in frontier.SETS:
        (home / "sets" / folder).mkdir(parents=True)
        Image.fromarray(made_up(1, 41)[0]).save(home / "sets" / folder / "one.png")
    monkeypatch.setattr(frontier, "TRAINED", ("espcn", "srfbn-s", frontier.SAME_TIME))
    trained = ["--networks", "espcn", "srfbn-s", frontier.SAME_TIME]

    def step(name: str, *more: str) -> None:
        arguments = [name, *SHORT, "--model", str(run), "--sets", str(home / "sets"), "--threads", "1", *more]
        monkeypatch.setattr("sys.argv", ["frontier", *arguments])
        frontier.main()

    counts = []
    for name in ("train", "measure"):
        step(name, *trained)
        before = {path: path.stat().st_mtime_ns for path in (home / "build/frontier").rglob("*.*")}
        step(name, *trained)
        assert {path: path.stat().st_mtime_ns for path in (home / "build/frontier").rglob("*.*")} == before
        counts.append(len([path for path in before if path.is_file()]))
    assert 9 <= counts[0] <= 12  # thrice two sweeps and the whole training; with the other rate, too, where it is worse
    assert counts[1] - counts[0] == 4 * 2 + 2 + 1
    step("join", "--out", str(home / "joined.json"))
    joined = files.read_json(home / "joined.json")
    networks = {network["name"]: network for network in joined["networks"]}
    assert {name: len(network["ms"]["one.png"]) for name, network in networks.items()} == {
        "bicubic": 1,
        "espcn": 1,
        "srfbn-s": 4,
        "ours-same-time": 3,
        "ours": 3,
    }
    for network in networks.values():
        assert network["ms"]["one.png"][0] > 0
        assert network["ms"]["one.png"] == sorted(network["ms"]["one.png"])
        assert len(network["psnr"]["Set14"]["one.png"]) == len(network["macs"])
    assert networks["ours"]["run"] == config.id
    assert found.numbers(joined)["verdict"]


def test_the_better_learning_rate_is_the_one_with_more_validation_psnr(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rate, psnr in ((1e-3, 20.0), (3e-3, 22.0), (1e-2, None)):
        files.write_tensors(frontier.weights("espcn", rate, 2), {}, {"validation": [19.0, psnr]})
    arguments = frontier.argparse.Namespace(  # type: ignore[attr-defined]
        rates=[1e-3, 3e-3, 1e-2], sweep_minutes=2, minutes=12
    )
    assert frontier.best_rate("espcn", arguments) == 3e-3
    for rate, psnr, chosen in ((3e-3, 21.0, 1e-3), (1e-3, 20.5, 1e-3)):  # worse than after two minutes; better
        files.write_tensors(frontier.weights("espcn", rate, 12), {}, {"validation": [19.0, psnr]})
        assert frontier.best_rate("espcn", arguments) == chosen
