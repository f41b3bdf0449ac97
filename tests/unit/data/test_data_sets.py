"""Data sets by name and by path: the bundled stand-ins, the paper's sets, a user's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.images import made_up, write_prepared

from agm import DataConfig, data
from agm.data import bundled, prepared
from agm.data.splits import split_indices
from agm.errors import AgmError

ROOT = Path(__file__).parents[3]
FINGERPRINTS = {
    "photographs": "043520a7e8d704967dc6a5f9466c1fdcc15268ffe002a34cc2a51f15269329f7",
    "closeups": "b6d78d7e886eb89104b668cf49772713620c741e230f205e4c3809bace07382d",
    "instruments": "78be31c8f5cf137241bf7af8927c614b63f7b39366b59ed757f9878a23dbe4b1",
}


@pytest.fixture
def _forget() -> Iterator[None]:
    """Sets are kept in memory by name; these tests change what a name means."""
    data.load.cache_clear()
    data.splits.cache_clear()
    yield
    data.load.cache_clear()
    data.splits.cache_clear()


@pytest.mark.parametrize("name", bundled.STAND_INS)
def test_bundled_sets_are_the_same_everywhere(name: str) -> None:
    images = data.load(name)
    assert images.fingerprint == FINGERPRINTS[name]
    assert images.images.shape[1:] == (64, 64, 3)
    assert images.stand_in
    assert images.groups_leak


@pytest.mark.parametrize("name", bundled.STAND_INS)
def test_no_pixel_of_a_photograph_is_in_two_parts(name: str) -> None:
    images, side = data.load(name), 64 * bundled.STAND_INS[name].zoom
    assert len(images) == len(set(images.groups)) * bundled.STAND_INS[name].crops_per_group
    columns: list[set[tuple[str, int]]] = []
    for part in split_indices(images):
        crops = [re.split("[@,]", images.sources[i]) for i in part]
        columns.append({(file, int(left) + x) for file, left, _ in crops for x in range(side)})
    assert all(columns)
    assert sum(map(len, columns)) == len(set.union(*columns))


@pytest.mark.parametrize("name", bundled.STAND_INS)
def test_crops_are_cut_where_their_source_says(name: str) -> None:
    images, zoom = data.load(name), bundled.STAND_INS[name].zoom
    folder = Path(bundled.skimage.__file__).parent / "data"
    for i in range(0, len(images), 97):
        file, left, top = re.split("[@,]", images.sources[i])
        with Image.open(folder / file) as photograph:
            box = (int(left), int(top), int(left) + 64 * zoom, int(top) + 64 * zoom)
            crop = photograph.convert("RGB").crop(box).resize((64, 64), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(images.images[i], np.asarray(crop))


def test_both_eyes_of_the_stereo_pair_stay_together() -> None:
    images = data.load("photographs")
    files = {s.split("@")[0] for s, g in zip(images.sources, images.groups, strict=True) if g == "motorcycle"}
    assert files == {"motorcycle_left.png", "motorcycle_right.png"}


@pytest.mark.parametrize("name", bundled.STAND_INS)
def test_no_bundled_crop_is_flat(name: str) -> None:
    assert min(image.std() for image in data.load(name).images) >= bundled.FLAT


@pytest.mark.usefixtures("_forget")
def test_the_papers_sets_are_looked_for_in_the_data_folder(home: Path) -> None:
    with pytest.raises(AgmError, match=r"'cars' is not prepared: .*data/cars does not hold it; see data/cars\.md"):
        data.load("cars")
    write_prepared(home / "data" / "cars", made_up(5))
    assert data.locate("cars") == home / "data" / "cars"
    assert len(data.load("cars")) == 5


@pytest.mark.usefixtures("_forget")
def test_sets_by_path(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", made_up(4))
    (tmp_path / "plain").mkdir()
    for i, pixels in enumerate(made_up(4, 20)):
        Image.fromarray(pixels).save(tmp_path / "plain" / f"{i}.png")
    assert data.load(str(tmp_path / "prepared")).images.shape == (4, 64, 64, 3)
    assert data.load(str(tmp_path / "plain"), 16).images.shape == (4, 16, 16, 3)
    assert data.load(str(tmp_path / "plain"), 24).images.shape == (4, 24, 24, 3)
    parts = data.splits(DataConfig(dataset=str(tmp_path / "plain"), image_size=12))
    assert parts.train.high.shape[1:] == (12, 12, 3)
    assert parts.train.low.shape[1:] == (6, 6, 3)


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_prepared(tmp_path / "set", made_up(3))
    assert data.locate("~/set") == tmp_path / "set"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photograph", "unknown data set 'photograph'; did you mean 'photographs'"),
        ("no/such/folder", "no/such/folder: there is no such folder"),
        ("../nowhere", "there is no such folder"),
        ("~nobody-of-that-name/x", "there is no such folder"),
        ("", "unknown data set ''"),
        ("x" * 5000, "unknown data set"),
        ("a\0b", "unknown data set"),
        (__file__, "a data set is a folder, this is a file"),
    ],
)
def test_what_is_no_data_set_is_refused(name: str, message: str) -> None:
    with pytest.raises(AgmError) as refused:
        data.load(name)
    assert message in str(refused.value)


def test_real_data_where_there_is_some(tmp_path: Path) -> None:
    """Every tenth image of a development set beside the checkout, each verified; its groups are respected."""
    folder = ROOT.parent / "shared" / "data" / "geo"
    if not prepared.is_prepared(folder):
        pytest.skip(f"no real data in {folder}")
    lines = (folder / "manifest.csv").read_text().splitlines(keepends=True)
    (tmp_path / "manifest.csv").write_text("".join([lines[0], *lines[1::10]]))
    (tmp_path / "images.tar").symlink_to(folder / "images.tar")
    images = prepared.load(tmp_path)
    assert len(lines) == 8901
    assert len(images) == len(set(images.hashes)) == 890
    places = [{images.groups[i] for i in part} for part in split_indices(images)]
    assert sum(map(len, places)) == len(set.union(*places)) > 300
