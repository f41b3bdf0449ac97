"""A user's own folder of images as a data set."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from tqdm import tqdm

from agm.data.images import ImageSet, image_files, read_image, square
from agm.errors import AgmError

logger = logging.getLogger(__name__)


def load(folder: Path, size: int, skip: str = "") -> ImageSet:
    """Every readable image below `folder`, its centred square resized to size x size. Subfolders named `skip` are not
    looked into.

    Broken images are named, skipped and counted in a warning. Raises AgmError if none is left.
    """
    images, sources, broken = [], [], []
    files = [path for path in image_files(folder) if not skip or skip not in path.relative_to(folder).parts[:-1]]
    for path in tqdm(files, desc=f"reading {folder.name}", unit="image", disable=None, leave=False):
        try:
            images.append(square(read_image(path, str(path)), size))
            sources.append(path.relative_to(folder).as_posix())
        except AgmError as error:
            broken.append(error)
            logger.warning("skipped %s", error)
    if broken:
        logger.warning("%d of %d images in %s could not be read and were skipped", len(broken), len(files), folder)
    if not images:
        raise AgmError(f"{folder}: no readable image in this folder or below it")
    # Every image is a group of its own: nothing is known of which belong together.
    return ImageSet(str(folder), np.stack(images), tuple(sources), tuple(sources))
