"""Data sets by name or by path, and their splits."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path

from agm.config import NATURAL, DataConfig
from agm.data import bundled, folder, prepared
from agm.data.images import ImageSet, image_files
from agm.data.official import SETS
from agm.data.splits import Part, Splits, split, to_tensor
from agm.errors import AgmError, unknown
from agm.paths import data_folder

__all__ = ["NATURAL", "PAPER_SETS", "ImageSet", "Part", "Splits", "load", "locate", "splits", "to_tensor"]

PAPER_SETS = SETS
"""The paper's data sets, looked for as prepared sets in the `data` folder."""


def locate(dataset: str) -> Path | None:
    """The folder of a data set given by name or path; None for a bundled stand-in. Raises AgmError if there is none."""
    if dataset in bundled.STAND_INS:
        return None
    if dataset in (*PAPER_SETS, NATURAL):
        path = data_folder() / dataset
        if not (image_files(path) if dataset == NATURAL else prepared.is_prepared(path)):
            raise AgmError(
                f"data set {dataset!r} is not prepared: {path} does not hold it; see data/{dataset}.md, "
                f"or use a bundled stand-in ({', '.join(bundled.STAND_INS)})"
            )
        return path
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # no path at all: too long, no such user, a NUL
        path = Path(dataset).expanduser()
        if dataset and path.is_dir():
            return path
        if dataset and path.exists():
            raise AgmError(f"{dataset}: a data set is a folder, this is a file")
    if "/" in dataset or "." in dataset:
        raise AgmError(f"{dataset}: there is no such folder")
    raise unknown("data set", dataset, (*PAPER_SETS, NATURAL, *bundled.STAND_INS))


@lru_cache(maxsize=2)
def load(dataset: str, image_size: int = 64) -> ImageSet:
    """Load a bundled stand-in, a prepared set or a folder of images. Only folders use `image_size`."""
    path = locate(dataset)
    if path is None:
        return bundled.load(dataset)
    if prepared.is_prepared(path):
        return prepared.load(path)
    return folder.load(path, image_size)


@lru_cache(maxsize=4)
def splits(config: DataConfig) -> Splits:
    """The train, validation and test part of a run's data set. Raises AgmError if crops are asked for and it is no
    folder of photographs.
    """
    images = load(config.dataset, config.image_size)
    if not config.crops:
        return split(images, config)
    path = locate(config.dataset)
    if path is None or prepared.is_prepared(path):
        raise AgmError(f"crops={config.crops}: {config.dataset} is no folder of photographs; leave crops out")
    return folder.split(images, path, config)
