"""What runs will cost: by hand, against real runs and files, and what a probe measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.made_up import make
from support.runs import tiny

from agm import checkpoint, cost, data, probe, profiles
from agm.checkpoint import Progress
from agm.config import RunConfig
from agm.cost import Images, Rates
from agm.errors import AgmError
from agm.generator import Generator
from agm.schedule import Schedule
from agm.step import Execution, build, train_step
from agm.train import train

SMOKE = profiles.load("smoke")
QUIET = Execution(device="cpu", progress=False)
RATES = Rates(step=(3.0, 1.0), image=(0.3, 0.1), single=(2.0, 0.2))


def test_images_of_the_papers_sets_by_their_size_alone() -> None:
    """8,133 different photographs of cars gave 5,880, 653 and 1,600 (data/cars.md)."""
    assert cost.share_out(8133, RunConfig().data) == Images(5880, 653, 1600)
    quarter = RunConfig().replace(fraction=0.25, train_images=400, validation_images=100).data
    assert cost.share_out(8133, quarter) == Images(100, 100, 1600)


def test_images_are_known_before_the_data_are_there(home: Path) -> None:
    assert cost.images_of(RunConfig().replace(dataset="geo", test_images=7).data) == Images(12960, 1440, 7)


def test_a_set_without_its_manifest_is_said(home: Path) -> None:
    (home / "data" / "cars").mkdir(parents=True)
    (home / "data" / "cars" / "images.tar").touch()
    with pytest.raises(AgmError, match=r"manifest\.csv: missing"):
        cost.images_of(RunConfig().replace(dataset="cars", seed=77).data)


@pytest.mark.parametrize("role", profiles.ROLES)
def test_images_of_bundled_sets_are_those_of_the_split(role: str) -> None:
    config = profiles.load("quick").run(role).data
    parts = data.splits(config)
    assert cost.images_of(config) == Images(len(parts.train), len(parts.validation), len(parts.test))


def test_features() -> None:
    """Config. A: layer 1 works in 8 iterations, layer 2 in 6, layer 3 in 3, layer 4 in all ten."""
    config = RunConfig().replace(layers="nrnr", schedule="A")
    assert cost.features(config).tolist() == [10, 6, 8, 0, 3, 10, 0]


def test_weights_are_found_again(home: Path) -> None:
    known = np.array([1.0, 0.5, 0.2, 3.0, 0.8, 2.0, 0.4])
    configs = [SMOKE.run("cars", layers=layers, schedule=s) for layers in ("rrrr", "nnnn", "nrnr") for s in "AB"]
    configs += [SMOKE.run("cars", layers=layers) for layers in ("rrnn", "nnrr", "rnrn")]
    passes = 3 * 16 + 3 * 8  # support.made_up: 16 training and 8 validation images
    runs = [
        run
        for config in configs
        for run in make(home, [config], seconds=float(cost.features(config) @ known) * 2 * passes)  # 2 epochs
    ]
    found = cost.weights(runs)
    assert found is not None
    for config in configs:
        assert cost.features(config) @ found == pytest.approx(cost.features(config) @ known)
    assert cost.weights([]) is None
    assert cost.weights(make(home, [SMOKE.run("cars")], epochs=0)) is None


@pytest.mark.parametrize("found", [None, np.array([1.0, 2, 1, 4, 1, 3, 1])])
def test_position(found: np.ndarray | None) -> None:
    ends = {layers: cost.position(SMOKE.run("cars", layers=layers), found) for layers in ("rrrr", "nnnn", "rnrn")}
    assert (ends["rrrr"], ends["nnnn"]) == (1, 0)
    assert 0 < ends["rnrn"] < 1
    assert cost.position(SMOKE.run("cars", layers="rrrr", schedule="A"), found) < 1
    if found is not None:  # of 10 iterations each: 10 + 20 + 10 + 40 + 10 lies between 50 and 120
        assert ends["rnrn"] == pytest.approx((10 + 20 + 10 + 40 + 10 - 50) / (10 + 40 + 40 + 30 - 50))


def test_the_cost_of_one_run_by_hand() -> None:
    """Two epochs of two steps and four validations of eight images, one of them with averages over sixteen; as many
    tests, and 21 rounds of four schedules of one image, within ten seconds.

    Eight images take a batch of 50's fixed part, 0.2 s, of which every image's 0.1 s hold a fiftieth.
    """
    images = Images(16, 8, 8)
    cheap = cost.cost(SMOKE.run("cars", layers="nnnn"), images, RATES, None)
    eight = 5 * 0.2 + (4 * 8 + 16) * (0.1 - 0.2 / 50)
    assert cheap.seconds == pytest.approx(2 * (2 * 1.0 + eight))
    assert cheap.testing == pytest.approx(eight + 10 + 4 * 0.2)
    dear = cost.cost(SMOKE.run("cars", layers="rrrr"), images, RATES, None, resident=1000)
    eight = 5 * 2.0 + (4 * 8 + 16) * (0.3 - 2.0 / 50)
    assert dear.seconds == pytest.approx(2 * (2 * 3.0 + eight))
    assert dear.testing == pytest.approx(eight + 10 + 4 * 2.0)  # no round begins after ten seconds
    assert dear.total == dear.seconds + dear.testing
    assert dear.memory == 1000 + cost.working_bytes(SMOKE.run("cars", layers="rrrr"), images)


def test_side_by_side() -> None:
    assert cost.side_by_side([2, 3, 2, 3, 2], 2) == 7  # 3 + 2 + 2 and 3 + 2
    assert cost.side_by_side([2, 3], 1) == 5
    assert cost.side_by_side([], 4) == 0


def test_bytes_are_those_of_real_files(tmp_path: Path) -> None:
    config = tiny(epochs=2, width=8)
    train(config, tmp_path / "run", QUIET)
    stored = sum(path.stat().st_size for path in (tmp_path / "run").iterdir())
    assert cost.stored_bytes(config, 4) == pytest.approx(stored, rel=0.15)

    networks = build(config, QUIET)
    low, high = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    train_step(networks, low, high, config.training, torch.zeros(2))
    good = {name: tensor.clone() for name, tensor in networks.generator.state_dict().items()}
    checkpoint.save(tmp_path / "checkpoint", config, networks, torch.zeros(2), good, Progress())
    assert cost.checkpoint_bytes(config) == pytest.approx((tmp_path / "checkpoint").stat().st_size, rel=0.15)


@pytest.mark.parametrize(("layers", "schedule"), [("rrrr", "NOAEL"), ("nnnn", "A"), ("nrnr", "B")])
def test_what_a_step_keeps_is_what_autograd_saves(layers: str, schedule: str) -> None:
    config = profiles.load("quick").run("cars", layers=layers, schedule=schedule)
    generator = Generator(config.generator)
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        return saved.setdefault(tensor.untyped_storage().data_ptr(), tensor)

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        images = generator(torch.rand(4, 3, 8, 8), Schedule.parse(schedule))
    for parameter in generator.parameters():
        saved.pop(parameter.untyped_storage().data_ptr(), None)
    total = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    assert len(images) == 10
    assert cost.kept_bytes(config) == pytest.approx(total, rel=0.1)


def test_runs_like_those_to_come_are_of_the_same_device_and_the_nearest_width(home: Path) -> None:
    for name, width, device in (("cpu", 16, "cpu"), ("wide", 48, "cpu"), ("reduced", 8, "cuda")):
        config = SMOKE.run("cars", width=width)
        make(home / "results" / name, [config], machine={"device": name, "device_type": device})
    quick = profiles.load("quick")  # of width 8
    assert [run.summary["machine"]["device"] for run in cost.alike(quick, "cpu")] == ["cpu"]
    assert [run.summary["machine"]["device"] for run in cost.alike(profiles.load("paper"), "cpu")] == ["wide"]
    assert [run.summary["machine"]["device"] for run in cost.alike(quick, "cuda")] == ["reduced"]


def test_what_would_take_too_long_is_probed_in_part() -> None:
    small, large = SMOKE.run("cars"), RunConfig()
    assert probe.affordable(small, 8, 3, "cpu") == (8, small.replace(schedule="xxxx (10)"), 1)
    count, probed, scale = probe.affordable(large, 16, 3, "cpu")
    assert (count, probed.generator.iterations, scale) == (1, 1, 160)
    count, probed, scale = probe.affordable(large.replace(width=16), 16, 3, "cpu")
    assert scale * count * probed.generator.iterations == pytest.approx(10 * 16)


def test_a_probe_leaves_the_number_of_threads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SECONDS", 0.0)
    before = torch.get_num_threads()
    rates = probe.measure(tiny(), "cpu", threads=2)
    assert torch.get_num_threads() == before
    assert min(*rates.step, *rates.image, *rates.single) > 0
    assert probe.resident() > 2**26  # torch alone is larger
