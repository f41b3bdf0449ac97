"""Splits: the same everywhere, and no image and no leaking group on two sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.images import image_set, made_up

from agm import DataConfig
from agm.data.images import ImageSet
from agm.data.splits import Part, Splits, split, split_indices, to_tensor
from agm.errors import AgmError


@st.composite
def sets(draw: st.DrawFn, leak: bool = True) -> ImageSet:
    """Random group structures, from a few big groups to singles, with some images repeated."""
    groups = draw(st.lists(st.integers(0, draw(st.integers(0, 30))), min_size=1, max_size=80))
    copies = draw(st.lists(st.integers(0, len(groups) - 1), max_size=5))
    return image_set([f"group {g}" for g in groups], copies=copies, leak=leak, seed=draw(st.integers(0, 9)))


def splits_or_none(images: ImageSet) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The split; None where there are too few groups, which must be said."""
    unique = dict(zip(reversed(images.hashes), reversed(images.groups), strict=True))
    enough = len(set(unique.values()) if images.groups_leak else unique) >= 3
    if enough:
        return split_indices(images)
    with pytest.raises(AgmError, match="at least three different images"):
        split_indices(images)
    return None


@given(sets() | sets(leak=False))
def test_every_image_is_in_one_part_and_its_repeats_in_none(images: ImageSet) -> None:
    parts = splits_or_none(images)
    if parts is None:
        return
    assert all(len(part) for part in parts)
    together = np.concatenate(parts)
    hashes = [images.hashes[i] for i in together]
    assert len(hashes) == len(set(hashes))
    assert set(hashes) == set(images.hashes)
    first = {h: i for i, h in reversed(list(enumerate(images.hashes)))}
    assert {first[h] for h in hashes} == set(together.tolist())


@given(sets())
def test_no_group_is_cut_where_groups_leak(images: ImageSet) -> None:
    parts = splits_or_none(images)
    if parts is None:
        return
    seen = [group for part in parts for group in {images.groups[i] for i in part}]
    assert len(seen) == len(set(seen))


@given(sets(), st.integers(0, 2**32 - 1))
def test_splits_are_the_same_each_time(images: ImageSet, seed: int) -> None:
    np.random.seed(seed)  # the global generator must not matter
    parts = splits_or_none(images)
    if parts is None:
        return
    again = split_indices(images)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


def test_one_split_is_pinned() -> None:
    """Equal on every machine, or results could not be compared."""
    train, validation, test = split_indices(image_set([f"g{i // 3}" for i in range(30)]))
    assert (len(train), len(validation), len(test)) == (21, 3, 6)
    assert test.tolist() == [23, 21, 22, 28, 29, 27]
    assert validation.tolist() == [6, 8, 7]
    assert train[:5].tolist() == [18, 25, 16, 1, 13]


def test_a_part_is_filled_by_the_groups_that_fit() -> None:
    """Groups of ten and of one: passing over what is too large leaves no part short of what it should have."""
    groups = [f"ten {i // 10}" for i in range(700)] + [f"one {i}" for i in range(303)]
    train, validation, test = split_indices(image_set(groups))
    assert (len(test), len(validation), len(train)) == (201, 80, 722)


def test_classes_that_do_not_leak_may_be_cut() -> None:
    images = image_set([f"g{i % 3}" for i in range(90)], leak=False)
    parts = split_indices(images)
    assert [len(part) for part in parts] == [65, 7, 18]
    assert all(len({images.groups[i] for i in part}) == 3 for part in parts)


def test_large_sets_have_1600_test_images() -> None:
    """As many as Section III-C uses; then a tenth of the rest for validation."""
    train, validation, test = split_indices(image_set([str(i) for i in range(9000)]))
    assert (len(test), len(validation), len(train)) == (1600, 740, 6660)


def test_parts_are_about_as_large_as_groups_allow() -> None:
    images = image_set([f"g{i // 10}" for i in range(1000)])
    train, validation, test = split_indices(images)
    assert (len(test), len(validation), len(train)) == (200, 80, 720)


@pytest.mark.parametrize("groups", [["a"], ["a", "b"], ["a"] * 9, ["a", "b"] * 9])
def test_too_few_groups_are_refused(groups: list[str]) -> None:
    with pytest.raises(AgmError, match=f"has {len(set(groups))}"):
        split_indices(image_set(groups))


def test_repeats_do_not_count_as_different_images() -> None:
    with pytest.raises(AgmError, match="has 2"):
        split_indices(image_set(["a", "b"], copies=[0, 0, 1], leak=False))


def small_splits(groups: int = 12, each: int = 4, **fields: object) -> Splits:
    count = groups * each
    images = made_up(count, 16)
    labels = tuple(f"g{i % groups}" for i in range(count))
    return split(ImageSet("made up", images, labels, labels), DataConfig(image_size=16, **fields))  # type: ignore[arg-type]


def hashes(part: Part) -> set[str]:
    return set(ImageSet("", part.high, (), ()).hashes)


def test_a_quarter_is_nested_in_the_full_set_and_the_rest_stays() -> None:
    full, half, quarter = (small_splits(fraction=f) for f in (1.0, 0.5, 0.25))
    assert len(quarter.train) == round(len(full.train) / 4)
    assert hashes(quarter.train) < hashes(half.train) < hashes(full.train)
    for other in (half, quarter):
        assert np.array_equal(full.test.high, other.test.high)
        assert np.array_equal(full.validation.high, other.validation.high)


@given(
    st.floats(0.001, 1),
    st.none() | st.integers(1, 60),
    st.none() | st.integers(1, 60),
    st.none() | st.integers(1, 60),
)
def test_limits_are_kept_and_nested(
    fraction: float, train: int | None, validation: int | None, test: int | None
) -> None:
    full = small_splits()
    some = small_splits(fraction=fraction, train_images=train, validation_images=validation, test_images=test)
    available = min(len(full.train), train or 10**9)
    assert len(some.train) == max(1, round(fraction * available))
    assert len(some.validation) == min(len(full.validation), validation or 10**9)
    assert len(some.test) == min(len(full.test), test or 10**9)
    for name in ("train", "validation", "test"):
        kept, all_ = getattr(some, name), getattr(full, name)
        assert np.array_equal(kept.high, all_.high[: len(kept)])


def test_a_limited_part_mixes_groups() -> None:
    labels = tuple(f"g{i // 50}" for i in range(500))
    images = ImageSet("made up", made_up(500, 16), labels, labels)
    some = split(images, DataConfig(image_size=16, train_images=40, test_images=20))
    group = dict(zip(images.hashes, labels, strict=True))
    assert len({group[image] for image in hashes(some.test)}) == 2
    assert len({group[image] for image in hashes(some.train)}) >= 5


def test_inputs_and_baseline_are_pillows_bicubic() -> None:
    part = small_splits().test
    assert part.high.dtype == part.low.dtype == part.bicubic.dtype == np.uint8
    for high, low, enlarged in zip(part.high, part.low, part.bicubic, strict=True):
        expected = Image.fromarray(high).resize((8, 8), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(low, np.asarray(expected))
        np.testing.assert_array_equal(enlarged, np.asarray(expected.resize((16, 16), Image.Resampling.BICUBIC)))


def test_parts_hold_the_images_of_their_indices_at_the_size_asked_for() -> None:
    labels = tuple(str(i) for i in range(40))
    images = ImageSet("made up", made_up(40, 64), labels, labels, stand_in="noise")
    parts = split(images, DataConfig(image_size=32))
    assert (parts.fingerprint, parts.stand_in) == (images.fingerprint, "noise")
    for index, high in zip(split_indices(images)[0], parts.train.high, strict=True):
        expected = Image.fromarray(images.images[index]).resize((32, 32), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(high, np.asarray(expected))


def test_to_tensor() -> None:
    pixels = np.zeros((2, 4, 5, 3), dtype=np.uint8)
    pixels[1, 2, 3, 0] = 255
    tensor = to_tensor(pixels)
    assert tensor.shape == (2, 3, 4, 5)
    assert tensor[1, 0, 2, 3].item() == 1.0
    assert tensor.sum().item() == 1.0
