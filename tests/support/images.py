"""Made-up images, and data sets made of them."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agm.data.images import ImageSet

COLUMNS = ("index", "source", "width", "height", "x1", "y1", "x2", "y2", "group", "sha256")
Row = dict[str, Any]


def made_up(count: int, size: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth coloured images, no two alike: (count, size, size, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC)) for c in coarse])


def image_set(groups: Sequence[str], *, copies: Sequence[int] = (), leak: bool = True, seed: int = 0) -> ImageSet:
    """One 2 x 2 image per group label; `copies` lists images whose pixels are repeated at the end of the set."""
    count = len(groups)
    codes = np.random.default_rng(seed).permutation(count).astype(np.uint32)
    images = np.zeros((count, 2, 2, 3), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 1, 1, 2] = codes % 256, codes // 256
    images = np.concatenate([images, images[list(copies)]]) if len(copies) else images
    labels = (*groups, *(groups[i] for i in copies))
    return ImageSet("made up", images, tuple(str(i) for i in range(len(images))), tuple(labels), leak)


def webp(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def rows_for(images: NDArray[np.uint8], groups: Sequence[str] | None = None) -> list[Row]:
    return [
        {
            "index": index,
            "source": f"{index}.jpg",
            "width": pixels.shape[1],
            "height": pixels.shape[0],
            "group": groups[index] if groups else f"g{index}",
            "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        }
        for index, pixels in enumerate(images)
    ]


def write_manifest(path: Path, rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_prepared(folder: Path, images: NDArray[np.uint8], groups: Sequence[str] | None = None) -> Path:
    """A prepared set: `images.tar` of lossless WebP files beside `manifest.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_archive(folder / "images.tar", {f"{i:05d}.webp": webp(pixels) for i, pixels in enumerate(images)})
    write_manifest(folder / "manifest.csv", rows_for(images, groups))
    return folder
