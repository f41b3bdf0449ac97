"""Training on whole photographs: crops, splits, resuming, standard sets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.runs import became

from agm import DataConfig, GeneratorConfig, RunConfig, data
from agm.anytime import standard_sets
from agm.anytime.upscaler import AnytimeUpscaler
from agm.config import TrainingConfig
from agm.data.folder import B100, Crops
from agm.data.images import halved
from agm.errors import AgmError
from agm.networks.generator import Generator
from agm.schedule import Schedule
from agm.training.loop import learning_rate, save_weights, train, trained
from agm.training.step import Execution, build, follow

SETS = Path(__file__).parents[4] / "shared" / "data" / "benchmarks"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    (folder / "train").mkdir(parents=True)
    for i in range(6):
        pixels = random.integers(0, 256, (41 + 2 * i, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "train" / f"{i}.png")
    Image.fromarray(random.integers(0, 256, (50, 50, 3), dtype=np.uint8)).save(folder / "train" / "101085.png")
    return folder


def config(folder: Path, **fields: object) -> RunConfig:
    run = RunConfig(
        GeneratorConfig("nnnr", 2, 3, base="light"),
        DataConfig(str(folder), image_size=16, crops=12),
        TrainingConfig("---x - x--x - xxxx", 2, 4, 1e-2, adversarial_weight=0, loss="l1", decay="cosine", average=0.9),
    )
    return run.replace(sampling="prefix", **fields)


def test_a_crop_and_its_input_are_the_same_place_of_one_photograph(photographs: Path) -> None:
    crops = data.splits(config(photographs).data).train
    assert isinstance(crops, Crops)
    high, low = crops.epoch(0, 0)
    assert high.shape == (12, 16, 16, 3)
    found = 0
    for large, small in zip(high, low, strict=True):
        for whole, half in crops.photographs:
            np.testing.assert_array_equal(half, halved(whole))
            for turns in range(8):
                back = large[:, ::-1] if turns % 2 else large
                other = small[:, ::-1] if turns % 2 else small
                back, other = np.rot90(back, -(turns // 2)), np.rot90(other, -(turns // 2))
                places = np.argwhere(half[: -7 or None, :-7, 0] == other[0, 0, 0])
                for y, x in places:
                    if np.array_equal(half[y : y + 8, x : x + 8], other):
                        found += np.array_equal(whole[2 * y : 2 * y + 16, 2 * x : 2 * x + 16], back)
    assert found == 12
    assert not np.array_equal(high, crops.epoch(0, 1)[0])
    np.testing.assert_array_equal(high, crops.epoch(0, 0)[0])


def test_a_benchmark_is_never_read(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"train/{i}.png" for i in range(6)]
    for folder, below in ((photographs, ""), (photographs.parent, "photographs/")):
        assert sorted(data.load(str(folder), 16).sources) == [below + name for name in names]
        assert "left out 1 images by their names: those of B100" in caplog.text
        caplog.clear()
    assert len(set(B100.split())) == 100
    home = photographs.parent
    monkeypatch.setenv("AGM_HOME", str(home))
    with pytest.raises(AgmError, match=r"'natural' is not prepared.*data/natural\.md"):
        data.locate("natural")
    (home / "data").mkdir()
    photographs.rename(home / "data" / "natural")
    data.load.cache_clear()
    assert sorted(data.load("natural", 16).sources) == names


def test_photographs_are_cropped_at_several_sizes(photographs: Path) -> None:
    whole, several = (data.splits(config(photographs, sizes=n, image_size=28).data).train for n in (1, 3))
    assert isinstance(whole, Crops)
    assert isinstance(several, Crops)
    expected = []
    for pixels, _ in whole.photographs:
        height, width = pixels.shape[:2]
        for share in (1.0, 0.8, 0.6):
            sides = int(height * share) // 2 * 2, int(width * share) // 2 * 2
            if min(sides) >= 28:
                expected.append(np.asarray(Image.fromarray(pixels).resize(sides[::-1], Image.Resampling.BICUBIC)))
    assert len(whole.photographs) < len(expected) < 3 * len(whole.photographs)
    for wanted, (high, low) in zip(expected, several.photographs, strict=True):
        np.testing.assert_array_equal(high, wanted)
        np.testing.assert_array_equal(low, halved(wanted))
    with pytest.raises(AgmError, match="only crops are taken at several sizes"):
        DataConfig(sizes=2)


def test_crops_of_what_is_no_photograph_are_refused(photographs: Path) -> None:
    with pytest.raises(AgmError, match="no folder of photographs"):
        data.splits(DataConfig("photographs", crops=4))
    with pytest.raises(AgmError, match="smaller than a crop"):
        data.splits(DataConfig(str(photographs), image_size=64, crops=4))


@pytest.mark.parametrize("crops", [4, 12])  # as many as there are photographs to train on, and more
def test_a_run_that_was_stopped_gives_the_same_bytes(crops: int, photographs: Path, tmp_path: Path) -> None:
    run = config(photographs, crops=crops)
    assert len(data.splits(run.data).train) == 4
    assert became(train(run, tmp_path / "whole" / run.id, Execution(device="cpu"))) == "finished"
    halting = Execution(device="cpu", time_budget=0.05, checkpoint_interval=0)
    folder = tmp_path / "parts" / run.id
    for _ in range(60):
        if became(train(run, folder, halting)) == "finished":
            break
    else:
        assert became(train(run, folder, Execution(device="cpu"))) == "finished"
    name = "generator.safetensors"
    assert (folder / name).read_bytes() == (tmp_path / "whole" / run.id / name).read_bytes()


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    settings = TrainingConfig(learning_rate=1e-2, decay="cosine")
    assert [learning_rate(settings, done) for done in (0, 1 / 3, 0.5, 1)] == pytest.approx([1e-2, 7.5e-3, 5e-3, 0])
    assert learning_rate(TrainingConfig(learning_rate=1e-2), 0.9) == 1e-2


def test_prefixes_are_one_two_or_all_iterations(photographs: Path) -> None:
    lengths = [len(trained(config(photographs), 0, step)[0]) for step in range(300)]
    assert {length: lengths.count(length) for length in set(lengths)}.keys() == {1, 2, 3}
    assert all(abs(lengths.count(length) - 100) < 40 for length in (1, 2, 3))


def test_luma_psnr_is_what_the_formula_says() -> None:
    target = np.full((8, 8, 3), 100, np.uint8)
    image = target.copy()
    image[3, 4] = (110, 90, 100)
    image[0, 0] = 255  # shaved off
    error = (65.481 * 10 - 128.553 * 10) / 255
    assert standard_sets.psnr_luma(image, target) == pytest.approx(10 * math.log10(255**2 / (error**2 / 16)))
    assert standard_sets.psnr_luma(target, target) == math.inf


def untrained(folder: Path, schedule: str, tile: int | None = None) -> AnytimeUpscaler:
    run = RunConfig(
        GeneratorConfig("nnnn", 1, len(Schedule.parse(schedule)), base="light"), training=TrainingConfig(schedule)
    )
    save_weights(folder / "generator.safetensors", Generator(run.generator), run)
    return AnytimeUpscaler.load(folder / "generator.safetensors", timed=False, tile=tile)


@pytest.mark.parametrize(("name", "bicubic"), [("Set5", 33.67), ("Set14", 30.32)])
def test_bicubic_has_the_known_psnr_on_standard_sets(name: str, bicubic: float, tmp_path: Path) -> None:
    if not (SETS / name).is_dir():
        pytest.skip("the standard sets are not here")
    upscaler = untrained(tmp_path, "---x")
    found = standard_sets.summary(standard_sets.measure(upscaler, SETS / name))
    assert found.psnr_luma[0] == pytest.approx(bicubic, abs=0.005)
    assert found.psnr_luma[1] == pytest.approx(
        bicubic, abs=0.02
    )  # torch's, in float: an untrained network adds nothing
    with pytest.raises(AgmError, match="no image"):
        standard_sets.measure(upscaler, tmp_path)


def test_a_large_picture_of_a_set_has_every_iteration(photographs: Path, tmp_path: Path) -> None:
    (photographs / "test").mkdir()
    large = np.random.default_rng(1).integers(0, 256, (160, 140, 3), dtype=np.uint8)
    Image.fromarray(large).save(photographs / "test" / "0.png")  # another one has this name
    upscaler = untrained(tmp_path, "---x - xxxx", tile=48)
    upscaler.group_pixels = 3000
    rows = standard_sets.measure(upscaler, photographs)
    assert rows.groupby("image").iteration.apply(list).tolist() == [[0, 1, 2]] * 8
    assert "test/0.png" in set(rows.image)


def test_weights_that_are_saved_are_the_average(photographs: Path, tmp_path: Path) -> None:
    networks = build(config(photographs), Execution(device="cpu"))
    with torch.no_grad():
        for parameter in networks.generator.parameters():
            parameter.add_(1.0)
    before = [parameter.clone() for parameter in networks.result.parameters()]
    assert networks.average is not None
    follow(networks.average, networks.generator, 0.9, 1000)
    for old, new in zip(before, networks.result.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.1)
