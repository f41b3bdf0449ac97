"""One image from any file, and a folder of them."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from support.images import made_up

from agm.data import folder
from agm.data.images import ImageSet, image_files, read_image, resize, resize_all, square
from agm.errors import AgmError


def stored(image: Image.Image, kind: str = "PNG", **options: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


def pixels_of(image: Image.Image, kind: str = "PNG", **options: Any) -> np.ndarray:
    """The image as it comes back from a file: (H, W, 3)."""
    read = read_image(stored(image, kind, **options), "test")
    assert read.mode == "RGB"
    return np.asarray(read)


COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]], dtype=np.uint8)
GREY = np.array([[0, 100], [200, 255]], dtype=np.uint8)
GREY_RGB = np.repeat(GREY[:, :, None], 3, axis=2)


def test_rgb_comes_back_as_it_is() -> None:
    np.testing.assert_array_equal(pixels_of(Image.fromarray(COLOURS)), COLOURS)


def test_grey() -> None:
    np.testing.assert_array_equal(pixels_of(Image.fromarray(GREY)), GREY_RGB)


def test_black_and_white() -> None:
    image = Image.fromarray(GREY > 150).convert("1")
    assert image.mode == "1"
    np.testing.assert_array_equal(pixels_of(image)[:, :, 0], [[0, 0], [255, 255]])


def test_palette() -> None:
    image = Image.fromarray(COLOURS).quantize(4)
    assert image.mode == "P"
    np.testing.assert_allclose(pixels_of(image).astype(int), COLOURS, atol=1)


def test_transparency_is_laid_on_white() -> None:
    alpha = np.array([[255, 0], [128, 255]], dtype=np.uint8)
    image = Image.fromarray(np.dstack([COLOURS, alpha]))
    assert image.mode == "RGBA"
    share = alpha[:, :, None] / 255
    expected = COLOURS * share + 255 * (1 - share)
    np.testing.assert_allclose(pixels_of(image), expected, atol=1)


def test_transparent_grey() -> None:
    image = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(np.array([[255, 255], [0, 51]], np.uint8))])
    np.testing.assert_allclose(pixels_of(image)[:, :, 0], [[0, 100], [255, 255]], atol=1)


def test_a_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 50, 60, 70])
    image.putdata([0, 1])
    np.testing.assert_array_equal(pixels_of(image, transparency=0), [[[255, 255, 255], [50, 60, 70]]])


def test_cmyk() -> None:
    image = Image.fromarray(COLOURS).convert("CMYK")
    np.testing.assert_allclose(pixels_of(image, "TIFF").astype(int), COLOURS, atol=2)


def test_sixteen_bits_are_scaled_to_eight() -> None:
    """Not cut off at 255, as a plain conversion would."""
    image = Image.fromarray(np.array([[0, 32768, 65535, 257]], dtype=np.uint16))
    assert image.mode == "I;16"
    np.testing.assert_array_equal(pixels_of(image)[0, :, 0], [0, 128, 255, 1])


def test_floats_up_to_one_are_scaled() -> None:
    image = Image.fromarray(np.array([[0.0, 0.5, 1.0, -3.0]], dtype=np.float32))
    np.testing.assert_array_equal(pixels_of(image, "TIFF")[0, :, 0], [0, 128, 255, 0])


def test_floats_that_are_no_numbers_are_black() -> None:
    image = Image.fromarray(np.array([[np.nan, np.inf, 0.5, 1.0]], dtype=np.float32))
    np.testing.assert_array_equal(pixels_of(image, "TIFF")[0, :, 0], [0, 0, 128, 255])


def test_deep_pictures_are_converted_piece_by_piece() -> None:
    """The same numbers as all at once; a large one would take gigabytes."""
    grey = np.random.default_rng(0).normal(0.5, 1, (150, 40)).astype(np.float32)
    grey[3, 4], grey[149, 5], grey[70, 6] = np.nan, np.inf, -np.inf
    known = np.where(np.isfinite(grey), grey, 0).astype(np.float64)
    expected = (known.clip(0, known.max()) / known.max() * 255).round()
    np.testing.assert_array_equal(pixels_of(Image.fromarray(grey), "TIFF")[:, :, 0], expected)


def test_odd_metadata_are_read_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    content = bytearray(stored(Image.fromarray(made_up(1)[0]), "TIFF").getvalue())
    entry = content.index((258).to_bytes(2, "little") + (3).to_bytes(2, "little"))  # BitsPerSample, of type SHORT
    content[entry + 8 : entry + 12] = (2**31).to_bytes(4, "little")  # said to lie behind the end
    with pytest.raises(AgmError):
        read_image(io.BytesIO(content), "x.tif")
    assert not recwarn.list


ORIENTATIONS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}
"""EXIF orientation -> how the stored pixels must be turned to stand upright."""


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_obeyed(orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = ORIENTATIONS[orientation](pixels)
    np.testing.assert_array_equal(pixels_of(Image.fromarray(pixels), exif=exif), upright)
    assert (upright.shape[:2] == (6, 4)) == (orientation >= 5)


def test_a_rotated_photograph_of_a_telephone() -> None:
    """JPEG, as a camera held sideways stores it: red on the left becomes red on top."""
    pixels = np.zeros((32, 64, 3), dtype=np.uint8)
    pixels[:, :32, 0], pixels[:, 32:, 2] = 255, 255
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = pixels_of(Image.fromarray(pixels), "JPEG", quality=95, exif=exif)
    assert upright.shape == (64, 32, 3)
    assert upright[:24, :, 0].min() > 200
    assert upright[40:, :, 2].min() > 200


def test_resizing_is_pillows_bicubic() -> None:
    pixels = made_up(1, 48)[0]
    expected = np.asarray(Image.fromarray(pixels).resize((20, 20), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(resize(pixels, 20), expected)
    np.testing.assert_array_equal(resize(pixels, 48), pixels)
    np.testing.assert_array_equal(resize_all(np.stack([pixels, pixels]), 20), [expected, expected])


@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))), st.integers(1, 24))
def test_square_is_the_centre(pixels: np.ndarray, size: int) -> None:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    centre = pixels[top : top + side, left : left + side]
    np.testing.assert_array_equal(square(Image.fromarray(pixels), size), resize(np.ascontiguousarray(centre), size))


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\x89PNG\r\n\x1a\n" + tail))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    with pytest.raises(AgmError, match="some/name"):
        read_image(io.BytesIO(content), "some/name")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_truncated_files_are_refused_by_name(kind: str) -> None:
    content = stored(Image.fromarray(made_up(1)[0]), kind).getvalue()
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(AgmError, match="photo"):
            read_image(io.BytesIO(content[: int(share * len(content))]), "photo")


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = stored(Image.new("RGB", (40, 40)))
    for limit in (1000, 100):  # Pillow warns above the limit and refuses above its double
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(AgmError, match=r"bomb\.png: more than 1"):
            read_image(content, "bomb.png")


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def test_a_folder_of_all_sorts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sizes from 1 x 1 up, extreme shapes, nested folders, big letters: all in; what is broken is named and counted."""
    good = made_up(6, 80)
    save(tmp_path / "b.png", good[0])
    save(tmp_path / "a" / "deep" / "c.PNG", good[1])
    save(tmp_path / "tiny.png", good[2][:1, :1])
    save(tmp_path / "wide.png", np.tile(good[3][:3], (1, 50, 1)))
    save(tmp_path / "tall.bmp", good[4][:, :1])
    photograph = save(tmp_path / "cut.jpg", good[5])
    photograph.write_bytes(photograph.read_bytes()[:-400])
    (tmp_path / "really text.jpg").write_text("not a photograph at all")
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("no image, not counted")
    (tmp_path / "folder.png").mkdir()
    save(tmp_path / ".hidden.png", good[5])
    save(tmp_path / ".trash" / "old.png", good[5])
    with caplog.at_level(logging.WARNING):
        images = folder.load(tmp_path, 16)
    assert images.sources == ("a/deep/c.PNG", "b.png", "tall.bmp", "tiny.png", "wide.png")
    assert images.images.shape == (5, 16, 16, 3)
    np.testing.assert_array_equal(images.images[1], resize(good[0], 16))
    assert (images.images[3] == good[2][0, 0]).all()
    text = caplog.text
    for broken in ("cut.jpg", "really text.jpg", "empty.png"):
        assert f"skipped {tmp_path / broken}" in text
    assert "3 of 8 images" in text
    assert "hidden" not in text
    assert "notes" not in text


def test_modes_and_orientation_work_in_a_folder(tmp_path: Path) -> None:
    pixels = made_up(1, 24)[0]
    exif = Image.Exif()
    exif[0x0112] = 8
    save(tmp_path / "turned.png", pixels, exif=exif)
    Image.fromarray(pixels).convert("LA").save(tmp_path / "grey.png")
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "print.jpg")
    Image.fromarray(pixels).convert("1").save(tmp_path / "bits.png")
    images = folder.load(tmp_path, 24)
    assert images.sources == ("bits.png", "grey.png", "print.jpg", "turned.png")
    np.testing.assert_array_equal(images.images[3], np.rot90(pixels, 1))
    assert (images.images[1] == images.images[1][:, :, :1]).all()


def test_nothing_is_said_where_nothing_is_broken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path / "a.png", made_up(1)[0])
    folder.load(tmp_path, 8)
    assert caplog.text == ""


def test_a_folder_without_images_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(AgmError, match=rf"{tmp_path}: no readable image"):
        folder.load(tmp_path, 16)
    (tmp_path / "broken.png").write_text("no image either")
    with pytest.raises(AgmError, match="no readable image"):
        folder.load(tmp_path, 16)
    assert "1 of 1 images" in caplog.text


def test_the_order_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    names = ["z.png", "a.png", "m/b.png", "m.png", "B.png"]
    for name in names:
        save(tmp_path / name, COLOURS)
    assert [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)] == sorted(names)


def test_hashes_and_fingerprint_tell_pixels_apart() -> None:
    images = made_up(3, 8)
    one = ImageSet("x", images, ("a",) * 3, ("a",) * 3)
    same = ImageSet("y", images.copy(), ("b",) * 3, ("c",) * 3)
    changed = images.copy()
    changed[1, 2, 3, 0] ^= 1
    other = ImageSet("x", changed, ("a",) * 3, ("a",) * 3)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert [a == b for a, b in zip(one.hashes, other.hashes, strict=True)] == [True, False, True]
    assert len(one) == 3
