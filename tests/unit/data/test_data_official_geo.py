"""SAT-4 in its three forms: the same images from each, joined as the paper says, and damage is named."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image
from support.official import (
    KINDS,
    SAMPLES,
    csv_bytes,
    pack,
    patches,
    planned,
    same,
    write,
    write_csv,
    write_mat5,
    write_mat73,
)

from agm.data.official import Cut, Plan, geo
from agm.errors import AgmError

TRAIN, TEST = patches(23, 0), patches(10, 1)


def read(path: Path) -> tuple[Plan, list[Cut]]:
    return planned(geo.plan, path)


def by_hand(indices: list[int]) -> np.ndarray:
    """Four patches, counted through train and then test, pasted side by side and enlarged, all by Pillow."""
    canvas = Image.new("RGB", (56, 56))
    for place, index in zip(((0, 0), (28, 0), (0, 28), (28, 28)), indices, strict=True):
        patch = TRAIN[:, :, :, index] if index < 23 else TEST[:, :, :, index - 23]
        canvas.paste(Image.fromarray(np.ascontiguousarray(patch[:, :, :3])), place)
    return np.asarray(canvas.resize((64, 64), Image.Resampling.BICUBIC))


FORMS: dict[str, Callable[[Path], object]] = {
    "v5": lambda root: write_mat5(root / "sat-4-full.mat", TRAIN, TEST),
    "v5 plain": lambda root: write_mat5(root / "sat-4-full.mat", TRAIN, TEST, do_compression=False),
    "v7.3": lambda root: write_mat73(root / "sat-4-full.mat", TRAIN, TEST),
    "csv": lambda root: write_csv(root, TRAIN, TEST),
}


@pytest.mark.parametrize("ending", ["", ".zip", ".tgz"])
def test_csv_with_what_is_harmless(tmp_path: Path, ending: str) -> None:
    """A byte-order mark, blank lines at the end, packed by gzip."""
    for name in ("plain", "odd"):
        (tmp_path / name).mkdir()
        write_csv(tmp_path / name, TRAIN, TEST)
    for path in (tmp_path / "odd").iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + path.read_bytes() + b"\n\r\n\n"))
        path.unlink()
    source = pack(tmp_path / "odd", tmp_path / f"x{ending}") if ending else tmp_path / "odd"
    for ours, wanted in zip(read(source)[1], read(tmp_path / "plain")[1], strict=True):
        np.testing.assert_array_equal(ours.pixels, wanted.pixels)


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path, TRAIN, TEST)
    path = tmp_path / "X_test_sat4.csv"
    (tmp_path / "X_test_sat4.csv.gz").write_bytes(gzip.compress(path.read_bytes())[:-2000])
    path.unlink()
    with pytest.raises(AgmError, match=r"X_test_sat4\.csv\.gz: damaged or cut short"):
        read(tmp_path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", ["", ".zip", ".tgz"])
def test_every_form_gives_the_images_made_by_hand(tmp_path: Path, form: str, ending: str) -> None:
    folder = tmp_path / "folder" / "SAT-4"
    folder.mkdir(parents=True)
    FORMS[form](folder)
    plan, cuts = read(pack(folder, tmp_path / f"x{ending}") if ending else folder.parent)
    drawn = np.random.default_rng(0).permutation(33)[:32].reshape(8, 4).tolist()
    assert plan.total == len(cuts) == 8
    for cut, indices in zip(cuts, drawn, strict=True):
        np.testing.assert_array_equal(cut.pixels, by_hand(indices))
        names = [f"train_x[{i}]" if i < 23 else f"test_x[{i - 23}]" for i in indices]
        assert cut.source == cut.group == "+".join(names)
        assert (cut.width, cut.height, cut.box) == (56, 56, None)
    assert plan.counts == {"train patches": 23, "test patches": 10}
    assert plan.warnings == (
        "33 patches at hand, the official set has 500,000",
        "8 images instead of 16,000, and 1 patches left over",
    )


def test_as_many_patches_are_drawn_as_the_paper_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert geo.DRAWN == 64_000
    monkeypatch.setattr(geo, "DRAWN", 12)
    FORMS["v5"](tmp_path)
    plan, cuts = read(tmp_path)
    drawn = np.random.default_rng(0).permutation(33)[:12].reshape(3, 4).tolist()
    assert all(np.array_equal(cut.pixels, by_hand(indices)) for cut, indices in zip(cuts, drawn, strict=True))
    assert plan.total == len(cuts) == 3
    assert len(plan.warnings) == 1


@pytest.mark.parametrize("half", ["train", "test"])
@pytest.mark.parametrize("form", ["v5", "v7.3", "csv"])
def test_a_missing_half_is_a_warning(tmp_path: Path, form: str, half: str) -> None:
    if form == "v5":
        scipy.io.savemat(tmp_path / "sat-4-full.mat", {f"{half}_x": TEST})
    elif form == "v7.3":
        with h5py.File(tmp_path / "sat-4-full.mat", "w") as file:
            file[f"{half}_x"] = TEST.T
    else:
        write_csv(tmp_path, TEST if half == "train" else None, TEST if half == "test" else None)
    plan, cuts = read(tmp_path)
    assert len(cuts) == 2
    assert f"the {'test' if half == 'train' else 'train'} half is missing" in plan.warnings
    assert all(name.startswith(f"{half}_x[") for cut in cuts for name in cut.source.split("+"))


def test_matlabs_file_is_preferred(tmp_path: Path) -> None:
    FORMS["v5"](tmp_path / "a")
    FORMS["csv"](tmp_path / "b")
    assert read(tmp_path)[0].layout == "sat-4-full.mat"


@pytest.mark.parametrize("ending", KINDS)
def test_csv_in_any_archive(tmp_path: Path, ending: str) -> None:
    write_csv(tmp_path / "x", TRAIN[..., :3], TEST[..., :2])
    (_, cuts), (_, from_packed) = read(tmp_path / "x"), read(pack(tmp_path / "x", tmp_path / f"x{ending}"))
    assert same(cuts, from_packed)


def save(path: Path, **variables: object) -> object:
    return scipy.io.savemat(path, variables)


def hdf5(fill: Callable[[h5py.File], object]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with h5py.File(path, "w") as file:
            fill(file)

    return make


def cut_short(form: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        FORMS[form](path.parent)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return make


BAD_MATS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no mat": (lambda path: path.write_bytes(b"hello" * 200), "no MATLAB file, damaged or cut short"),
    "empty": (lambda path: path.write_bytes(b""), "no MATLAB file, damaged or cut short"),
    "cut v5": (cut_short("v5"), "no MATLAB file, damaged or cut short"),
    "cut v7.3": (cut_short("v7.3"), "no MATLAB file, damaged or cut short"),
    "no variables": (lambda path: save(path, x=TEST), "no patches; SAT-4 has them in the variables train_x and test_x"),
    "no patches": (lambda path: save(path, train_x=TEST[..., :0]), "0 patches, an image takes four"),
    "three patches": (lambda path: save(path, train_x=TEST[..., :3]), "3 patches, an image takes four"),
    "shape": (lambda path: save(path, train_x=TEST.T), "train_x is uint8 10 x 4 x 28 x 28, expected uint8 28 x 28 x 4"),
    "type": (lambda path: save(path, test_x=TEST.astype(float)), "test_x is float64 28 x 28 x 4 x 10, expected uint8"),
    "hdf5 shape": (hdf5(lambda file: file.create_dataset("train_x", data=TEST)), "is uint8 10 x 4 x 28 x 28, expected"),
    "hdf5 type": (hdf5(lambda file: file.create_dataset("train_x", data=TEST.T / 2)), "train_x is float64 28 x 28"),
    "hdf5 nothing": (hdf5(lambda file: None), "no patches; SAT-4 has them"),
}


@pytest.mark.parametrize("case", BAD_MATS)
def test_bad_matlab_files_are_refused_in_one_line(tmp_path: Path, case: str) -> None:
    make, message = BAD_MATS[case]
    make(tmp_path / "sat-4-full.mat")
    with pytest.raises(AgmError) as refused:
        read(tmp_path)
    assert message in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


GOOD = csv_bytes(TEST[..., :8]).splitlines()


def with_value(line: bytes, column: int, value: bytes) -> bytes:
    values = line.split(b",")
    values[column] = value
    return b",".join(values)


BAD_LINES: dict[str, bytes] = {
    "too few": GOOD[0].rpartition(b",")[0],
    "too many": GOOD[0] + b",1",
    "long": b"1," * 100_000,
    "256": with_value(GOOD[0], 700, b"256"),
    "-1": with_value(GOOD[0], 0, b"-1"),
    "empty": with_value(GOOD[0], 3135, b""),
    "1.5": with_value(GOOD[0], 3, b"1.5"),
    "nan": with_value(GOOD[0], 3, b"nan"),
    "huge": with_value(GOOD[0], 3, b"9" * 40),
    "header": b",".join(b"x%d" % i for i in range(3136)),
    "comment": b"#" + GOOD[0],
    "no text": b"\xff" + GOOD[0],
}


@pytest.mark.parametrize("case", BAD_LINES)
@pytest.mark.parametrize("number", [1, 5])
def test_a_bad_line_of_csv_is_refused(tmp_path: Path, case: str, number: int) -> None:
    lines = [*GOOD[: number - 1], BAD_LINES[case], *GOOD[number:]]
    write(tmp_path / "X_test_sat4.csv", b"\n".join(lines) + b"\n")
    with pytest.raises(AgmError, match=r"X_test_sat4\.csv: ") as refused:
        read(tmp_path)
    assert "\n" not in str(refused.value)


def test_csv_without_a_patch_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"\n", b"1,2,3\n"):
        write(tmp_path / "X_test_sat4.csv", content)
        with pytest.raises(AgmError, match=r"X_test_sat4\.csv: "):
            read(tmp_path)


def test_windows_lines_and_a_last_line_without_an_end(tmp_path: Path) -> None:
    write(tmp_path / "a" / "X_test_sat4.csv", b"\n".join(GOOD) + b"\n")
    write(tmp_path / "b" / "X_test_sat4.csv", b"\r\n".join(GOOD))
    (_, cuts), (_, others) = read(tmp_path / "a"), read(tmp_path / "b")
    assert len(cuts) == 2
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(cuts, others, strict=True))


def test_no_sat4(tmp_path: Path) -> None:
    write(tmp_path / "y_test_sat4.csv", b"1,0,0,0\n")
    with pytest.raises(AgmError, match=r"no SAT-4; looked for sat-4-full\.mat, X_train_sat4\.csv and X_test_sat4\.csv"):
        read(tmp_path)


@pytest.mark.skipif(not (SAMPLES / "sat4_csv").is_dir(), reason="no official samples beside the checkout")
def test_the_official_samples(tmp_path: Path) -> None:
    """The CSV file holds the same patches as the test half of the MATLAB file."""
    plan, cuts = read(SAMPLES / "SAT-4_and_SAT-6_datasets")
    assert plan.counts == {"train patches": 800, "test patches": 200}
    assert len(cuts) == 250
    variables = scipy.io.loadmat(SAMPLES / "SAT-4_and_SAT-6_datasets" / "sat-4-full.mat", variable_names=["test_x"])
    save(tmp_path / "sat-4-full.mat", test_x=variables["test_x"])
    _, csv_cuts = read(SAMPLES / "sat4_csv")
    _, mat_cuts = read(tmp_path)
    assert len(csv_cuts) == 50
    assert same(csv_cuts, mat_cuts)
