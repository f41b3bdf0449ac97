"""A user's own folder of images as a data set: their centres, or random crops of whole photographs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from agm.config import DataConfig
from agm.data.images import ImageSet, Pixels, halved, image_files, read_even, read_image, square
from agm.data.splits import Part, Splits, split_indices, trained_on
from agm.errors import AgmError

logger = logging.getLogger(__name__)

EVALUATED = 192
"""Side in pixels of the centre that is validated and tested on; smaller where some photograph is."""

B100 = """
3096 8023 12084 14037 16077 19021 21077 24077 33039 37073 38082 38092 41033 41069 42012 42049 43074 45096 54082
55073 58060 62096 65033 66053 69015 69020 69040 76053 78004 85048 86000 86016 86068 87046 89072 97033 101085
101087 102061 103070 105025 106024 108005 108070 108082 109053 119082 123074 126007 130026 134035 143090 145086
147091 148026 148089 156065 157055 159008 160068 163085 167062 167083 170057 175032 175043 182053 189080 196073
197017 208001 210088 216081 219090 220075 223061 227092 229036 236037 241004 241048 253027 253055 260058 271035
285079 291000 295087 296007 296059 299086 300091 302008 304034 304074 306005 351093 361010 376043 385039
"""
"""The names of a benchmark's photographs, without endings: `val` of BSDS500, which is `test` of BSDS300."""


def load(folder: Path, size: int) -> ImageSet:
    """Every readable image below `folder`, its centred square resized to size x size.

    Those of `B100` are left out, wherever they lie. Broken images are named and skipped. Warnings count both. Raises
    AgmError if none is left.
    """
    images, sources = [], []
    found, benchmark = image_files(folder), set(B100.split())
    files = [path for path in found if path.stem not in benchmark]
    if kept_out := len(found) - len(files):
        logger.warning("%s: left out %d images by their names: those of B100, which tests networks", folder, kept_out)
    for path in tqdm(files, desc=f"reading {folder.name}", unit="image", disable=None, leave=False):
        try:
            images.append(square(read_image(path, str(path)), size))
            sources.append(path.relative_to(folder).as_posix())
        except AgmError as error:
            logger.warning("skipped %s", error)
    if broken := len(files) - len(images):
        logger.warning("%d of %d images in %s could not be read and were skipped", broken, len(files), folder)
    if not images:
        raise AgmError(f"{folder}: no readable image in this folder or below it")
    # Every image is a group of its own: nothing is known of which belong together.
    return ImageSet(str(folder), np.stack(images), tuple(sources), tuple(sources))


@dataclass(frozen=True)
class Crops(Part):
    """A training part whose epochs are random crops. `high` holds the centres, as in the other parts.

    photographs: (H, W, 3) uint8 of even sides, and each at half the size; size: side of a crop; count: crops an epoch.
    """

    photographs: tuple[tuple[Pixels, Pixels], ...]
    size: int
    count: int

    @property
    def per_epoch(self) -> int:
        return self.count

    def epoch(self, seed: int, epoch: int) -> tuple[Pixels, Pixels]:
        """Crops (count, S, S, 3) and the same of the halved photographs, each turned or flipped in one of 8 ways.

        Photographs are halved whole, so a crop's border is like its inside.
        """
        random = np.random.default_rng([seed, epoch, 2])
        high = np.empty((self.count, self.size, self.size, 3), np.uint8)
        low = np.empty((self.count, self.size // 2, self.size // 2, 3), np.uint8)
        for i in range(self.count):
            large, small = self.photographs[int(random.integers(len(self.photographs)))]
            y, x = (int(random.integers(side - self.size // 2 + 1)) for side in small.shape[:2])
            quarter_turns, flipped = int(random.integers(4)), bool(random.integers(2))
            cut = large[2 * y : 2 * y + self.size, 2 * x : 2 * x + self.size]
            high[i] = _turned(cut, quarter_turns, flipped)
            low[i] = _turned(small[y : y + self.size // 2, x : x + self.size // 2], quarter_turns, flipped)
        return high, low


def split(images: ImageSet, folder: Path, config: DataConfig) -> Splits:
    """The parts of a folder of photographs, split by photograph. `images` says what is in the folder.

    Raises AgmError if a photograph is smaller than a crop.
    """
    train, validation, test = split_indices(images)
    chosen = trained_on(train, config), validation[: config.validation_images], test[: config.test_images]
    size, what = config.image_size, f"a crop of image_size={config.image_size}"
    pictures = [[read_even(folder / images.sources[i], size, what) for i in part] for part in chosen]
    side = min(EVALUATED, *(min(picture.shape[:2]) for part in pictures for picture in part))
    centres = [np.stack([_centre(picture, side) for picture in part]) for part in pictures]
    pairs = tuple((one, halved(one)) for picture in pictures[0] for one in _sizes(picture, config))
    crops = Crops(centres[0], pairs, size, config.crops)
    return Splits(crops, Part(centres[1]), Part(centres[2]), images.fingerprint, images.stand_in)


def _sizes(pixels: Pixels, config: DataConfig) -> Iterator[Pixels]:
    """A photograph as it is, and reduced, with even sides, where it stays as large as a crop."""
    yield pixels
    for fifths in range(4, 5 - config.sizes, -1):
        height, width = (side * fifths // 5 // 2 * 2 for side in pixels.shape[:2])
        if min(height, width) >= config.image_size:
            yield np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _centre(pixels: Pixels, side: int) -> Pixels:
    """An even offset keeps the halved centre the centre of the halved photograph."""
    y, x = ((length - side) // 4 * 2 for length in pixels.shape[:2])
    return pixels[y : y + side, x : x + side]


def _turned(pixels: Pixels, quarter_turns: int, flipped: bool) -> Pixels:
    turned = np.rot90(pixels, quarter_turns)
    return turned[:, ::-1] if flipped else turned
