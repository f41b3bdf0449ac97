"""Train, validation and test parts: deterministic, with no image and no leaking group in two of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from agm.config import DataConfig
from agm.data.images import ImageSet, Pixels, resize_all
from agm.errors import AgmError

TEST_IMAGES = 1600
"""As in Section III-C; a set with fewer than five times as many gives a fifth of its images instead."""
SHARE = 0.2


@dataclass(frozen=True)
class Part:
    """Images of one part of a split: high-resolution targets and the inputs made from them.

    high: (N, S, S, 3) uint8; low: (N, S/2, S/2, 3) uint8, Pillow bicubic.
    """

    high: Pixels

    @cached_property
    def low(self) -> Pixels:
        return resize_all(self.high, self.high.shape[1] // 2)

    @cached_property
    def bicubic(self) -> Pixels:
        """The baseline: the inputs enlarged again, (N, S, S, 3) uint8."""
        return resize_all(self.low, self.high.shape[1])

    def __len__(self) -> int:
        return len(self.high)

    @property
    def per_epoch(self) -> int:
        """Number of images in an epoch."""
        return len(self)

    def epoch(self, seed: int, epoch: int) -> tuple[Pixels, Pixels]:
        """The targets and inputs of one epoch: here, always the same."""
        return self.high, self.low


@dataclass(frozen=True)
class Splits:
    """The parts of a data set, and its `ImageSet.fingerprint` and `stand_in`."""

    train: Part
    validation: Part
    test: Part
    fingerprint: str
    stand_in: str

    @property
    def parts(self) -> dict[str, Part]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


def split_indices(images: ImageSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the train, validation and test part, each in a fixed random order.

    Of images with equal pixels only the first is kept. Where groups leak, whole groups are dealt out, else images.
    Test is dealt first (1,600 images, or a fifth of a small set), then validation (a tenth of what is left), so
    neither depends on how many images are trained on. Groups come in a random order; one that would make its part too
    large is passed over, so a part is smaller than wanted only where no group is small enough to fill it.
    """
    _, unique = np.unique(np.array(images.hashes), return_index=True)
    unique = np.sort(unique)
    labels = np.array(images.groups)[unique] if images.groups_leak else unique.astype(str)
    random = np.random.default_rng(0)
    _, group_of = np.unique(labels, return_inverse=True)
    groups = int(group_of.max()) + 1
    if groups < 3:
        raise AgmError(f"{images.name}: needs at least three different images (or groups) to be split, has {groups}")
    rank = random.permutation(groups)  # group -> its place in the dealing order
    order = random.permutation(len(unique))  # images of one group stay shuffled among themselves
    order = order[np.argsort(rank[group_of[order]], kind="stable")]
    ranks = rank[group_of[order]]
    sizes = np.bincount(ranks)  # of each group, in the dealing order

    test = _deal(sizes, np.arange(groups), min(TEST_IMAGES, round(SHARE * len(unique))), spare=2)
    rest = np.setdiff1d(np.arange(groups), test)
    validation = _deal(sizes, rest, round(sizes[rest].sum() / 10), spare=1)
    train = np.setdiff1d(rest, validation)
    chosen = unique[order]
    first, second, third = (chosen[np.isin(ranks, part)] for part in (train, validation, test))
    return random.permutation(first), second, third


def split(images: ImageSet, config: DataConfig) -> Splits:
    """The parts of `images` that `config` asks for, resized to its image size."""

    def part(indices: np.ndarray) -> Part:
        return Part(resize_all(images.images[indices], config.image_size))

    train, validation, test = split_indices(images)
    return Splits(
        part(trained_on(train, config)),
        part(_shuffled(validation)[: config.validation_images]),
        part(_shuffled(test)[: config.test_images]),
        images.fingerprint,
        images.stand_in,
    )


def trained_on(train: np.ndarray, config: DataConfig) -> np.ndarray:
    """The share of a train part that `config` asks for; smaller shares are nested in larger ones."""
    train = train[: config.train_images]
    return train[: max(1, round(config.fraction * len(train)))]


def to_tensor(pixels: Pixels) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255  # (N, H, W, 3) -> (N, 3, H, W)


def _deal(sizes: np.ndarray, groups: np.ndarray, wanted: int, spare: int) -> np.ndarray:
    """Groups with `wanted` images together, or as many as fit; the smallest if none does. Leaves `spare` groups."""
    taken: list[int] = []
    for group in groups:
        if sizes[group] <= wanted and len(groups) - len(taken) > spare:
            taken.append(int(group))
            wanted -= int(sizes[group])
    return np.array(taken or [groups[sizes[groups].argmin()]])


def _shuffled(indices: np.ndarray) -> np.ndarray:
    """Mixes groups, so that a limited part still has images of all of them."""
    return np.random.default_rng(0).permutation(indices)
