"""Small data sets in the layouts of the official ones, made of scikit-image's photographs, and archives of them."""

from __future__ import annotations

import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import skimage
from numpy.typing import NDArray
from PIL import Image

from agm.data.official import Cut, Plan
from agm.data.official.archives import Source

SHARED = Path(__file__).parents[3] / "shared" / "data"
"""Real data beside the checkout, where there is some."""
SAMPLES = SHARED / "official"

Array = NDArray[np.uint8]
BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_PHOTOGRAPHS: dict[str, Image.Image] = {}


def photograph(number: int, width: int = 120, height: int = 90) -> Image.Image:
    """A piece of a real photograph, another one for each number."""
    name = ("astronaut.png", "chelsea.png", "coffee.png")[number % 3]
    if name not in _PHOTOGRAPHS:
        _PHOTOGRAPHS[name] = Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")
    whole = _PHOTOGRAPHS[name]
    left, top = number * 37 % (whole.width - width), number * 53 % (whole.height - height)
    return whole.crop((left, top, left + width, top + height))


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_struct(path: Path, rows: Sequence[dict[str, Any]], name: str = "annotations", **options: Any) -> Path:
    """A (1, N) struct array as in the real devkit: each number a 1 x 1 array of the smallest unsigned type."""
    table = np.empty((1, len(rows)), dtype=[(field, object) for field in rows[0]])
    for i, row in enumerate(rows):
        table[0, i] = tuple(np.array([[v]], np.min_scalar_type(v)) if isinstance(v, int) else v for v in row.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {name: table}, **({"do_compression": True} | options))
    return path


def car_box(number: int) -> tuple[int, int, int, int]:
    return 3 + number, 2 + number % 5, 70 + number, 60 + number % 7


def car_rows(first: int, count: int, labels: bool = True, end: str = "fname") -> list[dict[str, Any]]:
    """Rows of an annotation file: classes 1 to 3, file names from `first`, not in the order of the names."""
    rows = []
    for number in reversed(range(first, first + count)):
        row: dict[str, Any] = dict(zip(BOX, car_box(number), strict=True))
        rows.append(row | ({"class": number % 3 + 1} if labels else {}) | {end: f"{number:05d}.jpg"})
    return rows


def cars(root: Path, train: int = 6, test: int = 4, labels: bool = True) -> Path:
    """Layout (a). Images of the two halves share file names, as the official ones do."""
    for half, count, shift in (("train", train, 0), ("test", test, 50)):
        for number in range(1, count + 1):
            image = photograph(number + shift)
            write(root / f"cars_{half}" / f"{number:05d}.jpg", encoded(image, quality=90))
    if train:
        write_struct(root / "devkit" / "cars_train_annos.mat", car_rows(1, train))
    if test:
        name = "cars_test_annos_withlabels.mat" if labels else "cars_test_annos.mat"
        write_struct(root / "devkit" / name, car_rows(1, test, labels))
    return root


def car_ims(root: Path, count: int = 8) -> Path:
    """Layout (b): every third image is one of the test half."""
    rows = []
    for row in car_rows(1, count):
        number = int(row.pop("fname")[:5])
        path = f"car_ims/{number:06d}.jpg"
        write(root / path, encoded(photograph(number), quality=90))
        rows.append({"relative_im_path": path} | row | {"test": int(number % 3 == 0)})
    write_struct(root / "cars_annos.mat", rows)
    return root


def lfw(root: Path, counts: dict[str, int]) -> Path:
    seed = 0
    for person, count in counts.items():
        for number in range(1, count + 1):
            seed += 1
            write(root / person / f"{person}_{number:04d}.jpg", encoded(photograph(seed, 80, 80)))
    return root


def patches(count: int, seed: int = 0) -> Array:
    """(28, 28, 4, count): pieces of photographs, with noise for infrared."""
    random = np.random.default_rng(seed)
    stack = np.empty((28, 28, 4, count), dtype=np.uint8)
    for i in range(count):
        stack[..., :3, i] = np.asarray(photograph(i + 7 * seed, 28, 28))
        stack[..., 3, i] = random.integers(0, 256, (28, 28))
    return stack


def write_mat5(path: Path, train: Array, test: Array, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    variables = {"train_x": train, "train_y": np.ones((4, 3)), "test_x": test, "test_y": np.ones((4, 3))}
    scipy.io.savemat(path, variables, **({"do_compression": True} | options))
    return path


def write_mat73(path: Path, train: Array, test: Array) -> Path:
    """As MATLAB writes it: axes reversed, chunks, its class in an attribute, 512 bytes of its own before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in (("train_x", train), ("test_x", test)):
            dataset = file.create_dataset(name, data=array.T, chunks=True, compression="gzip", compression_opts=3)
            dataset.attrs["MATLAB_class"] = np.bytes_("uint8")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def csv_bytes(stack: Array) -> bytes:
    """A line a patch, in the order rows, columns, channels."""
    lines = (",".join(map(str, stack[..., i].ravel().tolist())) for i in range(stack.shape[3]))
    return "".join(f"{line}\n" for line in lines).encode()


def write_csv(root: Path, train: Array | None, test: Array | None) -> Path:
    for half, stack in (("train", train), ("test", test)):
        if stack is not None:
            write(root / f"X_{half}_sat4.csv", csv_bytes(stack))
            write(root / f"y_{half}_sat4.csv", b"1,0,0,0\n" * stack.shape[3])
    return root


def pack(folder: Path, target: Path) -> Path:
    """An archive of everything in `folder`, of the kind that its ending says; members in a shuffled order."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder).as_posix())
        return target
    mode: Any = {".tgz": "w:gz", ".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz", ".tar": "w"}[target.suffix]
    with tarfile.open(target, mode) as tar:
        for path in files:
            tar.add(path, path.relative_to(folder).as_posix())
    return target


def planned(plan: Callable[[Source], Plan], path: Path) -> tuple[Plan, list[Cut]]:
    """The plan of a data set for a source, and all its images."""
    with tempfile.TemporaryDirectory() as scratch:
        found = plan(Source(path, Path(scratch)))
        return found, list(found.images)


def same(one: list[Cut], other: list[Cut]) -> bool:
    """True if two lists hold the same images, cut from the same places."""
    fields = ("source", "group", "width", "height", "box")
    return all(
        np.array_equal(a.pixels, b.pixels) and all(getattr(a, field) == getattr(b, field) for field in fields)
        for a, b in zip(one, other, strict=True)
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


KINDS = (".tgz", ".tar.gz", ".tar", ".tar.bz2", ".tar.xz", ".zip")
