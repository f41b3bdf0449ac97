"""Stand-ins that need no download: crops of the colour photographs that ship in scikit-image's wheel.

They let every figure be remade anywhere; they are not the paper's data, and every figure made from them says so.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from agm.data.images import ImageSet, Pixels, read_image, square

CROP = 64
"""Side of every crop in pixels."""

FLAT = 20.0
"""Crops with a smaller standard deviation (of 255) show empty sky or a black rim, and are drawn again."""


@dataclass(frozen=True)
class StandIn:
    """`photographs`: files by group; crops of one group stay on one side of a split. `zoom`: source pixels a pixel.

    `bands`: into how many upright bands each photograph is cut, each a group of its own.
    """

    photographs: dict[str, tuple[str, ...]]
    zoom: int
    crops_per_group: int
    description: str
    bands: int = 1


_PHOTOGRAPHS = {
    "astronaut": ("astronaut.png",),
    "cat": ("chelsea.png",),
    "coffee": ("coffee.png",),
    "motorcycle": ("motorcycle_left.png", "motorcycle_right.png"),
    "rocket": ("rocket.jpg",),
}

STAND_INS = {
    "photographs": StandIn(_PHOTOGRAPHS, 2, 160, "crops of five everyday photographs, at half their size"),
    "closeups": StandIn(_PHOTOGRAPHS, 1, 160, "close-up crops of five everyday photographs, at their full size"),
    "instruments": StandIn(
        {"galaxies": ("hubble_deep_field.jpg",), "tissue": ("ihc.png",), "retina": ("retina.jpg",)},
        2,
        50,
        "crops of three pictures taken through instruments: galaxies, stained tissue, a retina",
        bands=4,
    ),
}


def shipped(file: str) -> Image.Image:
    """A photograph of scikit-image's, by its file's name, in RGB."""
    return read_image(Path(skimage.__file__).parent / "data" / file, file)


def load(name: str) -> ImageSet:
    """One of STAND_INS. The crops are drawn with a fixed seed, so they are the same everywhere."""
    stand_in = STAND_INS[name]
    images: list[Pixels] = []
    sources: list[str] = []
    groups: list[str] = []
    side = CROP * stand_in.zoom
    banded = itertools.product(stand_in.photographs.items(), range(stand_in.bands))
    for number, ((name, files), band) in enumerate(banded):
        group = f"{name} {band + 1}" if stand_in.bands > 1 else name
        photographs = [shipped(file) for file in files]
        random = np.random.default_rng([number, stand_in.zoom])
        while groups.count(group) < stand_in.crops_per_group:
            turn = groups.count(group) % len(files)
            photograph, file = photographs[turn], files[turn]
            width = photograph.width // stand_in.bands
            left = band * width + int(random.integers(width - side + 1))
            top = int(random.integers(photograph.height - side + 1))
            crop = square(photograph.crop((left, top, left + side, top + side)), CROP)
            if crop.std() < FLAT:
                continue
            images.append(crop)
            sources.append(f"{file}@{left},{top}")
            groups.append(group)
    return ImageSet(name, np.stack(images), tuple(sources), tuple(groups), stand_in=stand_in.description)
