"""`agm upscale` as users call it."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import ExifTags, Image, ImageCms
from support.anytime import weights
from support.command import refused

from agm import paths
from agm.anytime.upscaler import AnytimeUpscaler
from agm.errors import AgmError

Agm = Callable[..., Any]


@pytest.fixture
def photo(home: Path) -> Path:
    """A small photograph beside the weights of a tiny network."""
    weights(home / "w.safetensors")
    Image.fromarray(photograph()).save(home / "photo.png")
    return home / "photo.png"


@pytest.fixture
def upscale(agm_command: Agm, home: Path) -> Agm:
    def call(*arguments: str | Path) -> Any:
        return agm_command("upscale", "--model", home / "w.safetensors", *arguments)

    return call


def photograph(height: int = 16, width: int = 20) -> Any:
    return np.ascontiguousarray(skimage.data.chelsea()[100 : 100 + height, 150 : 150 + width])


def expected(home: Path, image: Any, **options: Any) -> Any:
    upscaler = AnytimeUpscaler.load(home / "w.safetensors", timed=False, faithful=True)
    return np.asarray(upscaler.upscale(image, **options).image)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_picture(upscale: Agm, photo: Path, home: Path) -> None:
    result = upscale(photo, home / "new" / "out.png")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"{home / 'new' / 'out.png'}: iteration 3 of 3, ")
    assert result.out.endswith(" ms\n")
    with Image.open(home / "new" / "out.png") as image:
        np.testing.assert_array_equal(image, expected(home, photograph()))
    upscale(photo, home / "two.png", "--iterations", "2")
    with Image.open(home / "two.png") as image:
        np.testing.assert_array_equal(image, expected(home, photograph(), iterations=2))
    other = upscale(photo, home / "other.png", "--schedule", "---x (5)", "--statistics", "shared")
    assert ": iteration 5 of 5, " in other.out
    assert names(home) == ["new", "other.png", "photo.png", "two.png", "w.safetensors"]


def test_a_deadline(upscale: Agm, photo: Path, home: Path) -> None:
    assert ": iteration 3 of 3, " in upscale(photo, home / "out.png", "--deadline", "9m").out
    late = upscale(photo, home / "late.png", "--deadline", "0.0001ms")
    assert ": bicubic, " in late.out
    assert late.out.endswith(", later than 0.0001 ms\n")
    bicubic = Image.fromarray(photograph()).resize((40, 32), Image.Resampling.BICUBIC)
    with Image.open(home / "late.png") as image:
        np.testing.assert_array_equal(image, bicubic)


def test_nothing_is_overwritten_without_being_told(upscale: Agm, photo: Path, home: Path) -> None:
    out = home / "out.png"
    out.write_text("mine")
    refused(upscale(photo, out), "out.png: is there already; --force")
    assert out.read_text() == "mine"
    assert upscale(photo, out, "--force").code == 0
    assert upscale(photo, photo, "--force").code == 0
    with Image.open(photo) as image:
        assert image.size == (40, 32)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--deadline", "0ms"], ["time '0ms'", "50ms"]),
        (["--deadline", "-5ms"], ["time '-5ms'"]),
        (["--deadline", "soon"], ["time 'soon'"]),
        (["--iterations", "4"], ["iterations=4: must be from 0 to 3"]),
        (["--iterations", "-1"], ["iterations=-1"]),
        (["--schedule", "xxxz (3)"], ["bad schedule", "at character 4"]),
        (["--schedule", "rrrr (3)"], ["the network has n"]),
        (["--statistics", "batch"], ["statistics 'batch'"]),
        (["--statistics", "shard"], ["unknown statistics 'shard'"]),
        (["--tile", "10"], ["tile=10: must be at least 48"]),
        (["--tile", "0"], ["tile=0: must be at least 48"]),
        (["--device", "tpu"], ["unknown device 'tpu'"]),
        (["--model", "nosuch"], ["nosuch: no weights there"]),
        (["--model", "photo.png"], ["photo.png: not a safetensors file, or damaged"]),
    ],
    ids=lambda value: " ".join(value)[:30],
)
def test_mistakes_are_one_line(
    upscale: Agm, photo: Path, home: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(home)
    refused(upscale(photo, home / "out.png", *options), *words)
    assert names(home) == ["photo.png", "w.safetensors"]


def test_a_folder_in_the_folder_that_is_written_to(upscale: Agm, photo: Path, home: Path) -> None:
    (home / "photos" / "raw").mkdir(parents=True)
    shutil.copy(photo, home / "photos" / "raw" / "a.png")
    refused(upscale(home / "photos", home / "photos"), "photos: would write over the pictures that are to be read")
    assert upscale(home / "photos" / "raw", home / "photos").code == 0
    assert names(home / "photos") == ["a.png", "raw"]


def test_two_pictures_that_would_become_one(upscale: Agm, photo: Path, home: Path) -> None:
    (home / "in").mkdir()
    shutil.copy(photo, home / "in" / "a.bmp.png")
    Image.open(photo).save(home / "in" / "a.bmp")
    refused(upscale(home / "in", home / "out"), "would both become a.bmp.png; rename one of them")
    assert not (home / "out").exists()


@pytest.mark.parametrize("name", ["*", "[a-f]*", "x" * 300, "~nobody/w", "a\0b"])
def test_names_that_are_no_models(home: Path, name: str) -> None:
    for folder in (home / "results" / "cpu" / "abc", home / "build" / "runs" / "abc"):
        folder.mkdir(parents=True)
        (folder / "generator.safetensors").touch()
    assert paths.weights("abc").parent.name == "abc"
    with pytest.raises(AgmError, match="no weights there"):
        paths.weights(name)


def test_no_weights_at_all(agm_command: Agm, photo: Path, home: Path) -> None:
    refused(
        agm_command("upscale", photo, home / "out.png"),
        paths.DEFAULT,
        "no weights there; expected a generator.safetensors",
    )


def test_pictures_that_are_none(upscale: Agm, photo: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = home / "out.png"
    (home / "text.png").write_text("no image")
    (home / "cut.png").write_bytes(photo.read_bytes()[:400])
    (home / "empty.png").write_bytes(b"")
    (home / "folder").mkdir()
    refused(upscale(home / "none.png", out), "none.png: missing")
    refused(upscale(home / "text.png", out), "text.png: not an image that can be read")
    refused(upscale(home / "empty.png", out), "empty.png: not an image that can be read")
    refused(upscale(home / "cut.png", out), "cut.png: cannot be decoded")
    refused(upscale(home / "folder", home / "new"), "folder: there are no pictures in this folder")
    refused(upscale(photo, home / "folder"), "folder: is a folder; name the file")
    refused(upscale(home / "folder", photo), "photo.png: is a file; a folder of pictures needs a folder")
    refused(upscale(photo, home / "out.gif"), "unknown picture format '.gif'", ".png")
    refused(upscale(photo, home / "out"), "unknown picture format 'out'")
    refused(upscale(photo, photo / "x.png"), "x.png: cannot be written")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    refused(upscale(photo, out), "photo.png: more than 300 pixels, refused as a decompression bomb")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    refused(upscale(photo, out), "refused as a decompression bomb")
    assert not out.exists()


def test_too_large_for_the_format(upscale: Agm, photo: Path, home: Path) -> None:
    Image.new("L", (8200, 1)).save(home / "long.png")
    refused(upscale(home / "long.png", home / "out.webp", "--iterations", "0"), "out.webp: cannot be written as WEBP")
    assert not (home / "out.webp").exists()


def test_a_full_disk_leaves_nothing_behind(
    upscale: Agm, photo: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(upscale(photo, home / "out.png"), "out.png: cannot be written", "free some space")
    assert names(home) == ["photo.png", "w.safetensors"]
    (home / "many").mkdir()
    photo.rename(home / "many" / "photo.png")
    many = upscale(home / "many", home / "new")
    assert (many.code, many.out) == (1, f"0 of 1 pictures -> {home / 'new'}; 1 skipped\n")
    assert "photo.png: cannot be written (No space left on device); free some space" in many.err
    assert names(home / "new") == []


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 GB")])
def test_out_of_memory(
    upscale: Agm, photo: Path, home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(AnytimeUpscaler, "upscale", fail)
    refused(upscale(photo, home / "out.png"), "out of memory; use a smaller --tile")
    monkeypatch.setattr(AnytimeUpscaler, "upscale", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        upscale(photo, home / "out.png")


@pytest.mark.parametrize("ending", [".png", ".jpg", ".jpeg", ".webp", ".tif", ".TIFF"])
def test_formats(upscale: Agm, photo: Path, home: Path, ending: str) -> None:
    assert upscale(photo, home / f"out{ending}", "--iterations", "0").code == 0
    bicubic = Image.fromarray(photograph()).resize((40, 32), Image.Resampling.BICUBIC)
    with Image.open(home / f"out{ending}") as image:
        assert image.format == {"j": "JPEG", "p": "PNG", "w": "WEBP", "t": "TIFF"}[ending[1].lower()]
        assert image.size == (40, 32)
        assert np.abs(np.asarray(image, dtype=int) - np.asarray(bicubic)).mean() < 6
        assert ending in (".jpg", ".jpeg", ".webp") or image.tobytes() == bicubic.tobytes()
    assert upscale(home / f"out{ending}", home / "again.png", "--iterations", "0").code == 0


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bits_in_and_out(upscale: Agm, photo: Path, home: Path, ending: str) -> None:
    grey = photograph()[..., 0].astype(np.uint16) * 256 + np.arange(20, dtype=np.uint16)
    Image.fromarray(grey).save(home / f"grey{ending}")
    assert upscale(home / f"grey{ending}", home / f"out{ending}").code == 0
    with Image.open(home / f"out{ending}") as image:
        assert image.mode == "I;16"
        np.testing.assert_array_equal(image, expected(home, grey))


def test_what_a_format_cannot_hold(upscale: Agm, photo: Path, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(home / "deep.png")
    assert upscale(home / "deep.png", home / "deep.jpg", "--iterations", "0").code == 0
    assert "deep.jpg: JPEG holds 8 bits, the rest is lost" in caplog.text
    with Image.open(home / "deep.jpg") as image:
        assert (image.mode, image.getpixel((3, 3))) == ("L", pytest.approx(156, abs=1))
    Image.new("RGBA", (4, 4), (200, 0, 0, 0)).save(home / "clear.png")
    assert upscale(home / "clear.png", home / "clear.jpg", "--iterations", "0").code == 0
    assert "clear.jpg: JPEG has no transparency, laid on white" in caplog.text
    with Image.open(home / "clear.jpg") as image:
        assert (image.mode, image.getpixel((3, 3))) == ("RGB", (255, 255, 255))
    for ending in (".png", ".webp", ".tif"):
        caplog.clear()
        assert upscale(home / "clear.png", home / f"clear2{ending}", "--iterations", "0").code == 0
        with Image.open(home / f"clear2{ending}") as image:
            assert image.mode == "RGBA"
            assert image.getextrema()[3] == (0, 0)
        assert caplog.text == ""


def test_sixteen_bit_colours_in_a_file(upscale: Agm, photo: Path, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Pillow reads 8 bits of them; that is said."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + struct.pack(">6H", *[n * 5000 for n in range(6)]) for _ in range(2))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0))
    (home / "deep.png").write_bytes(png + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert upscale(home / "deep.png", home / "out.png", "--iterations", "0").code == 0
    assert "deep.png: colours of more than 8 bits are read as 8 bits" in caplog.text


def test_a_film_gives_its_first_picture(
    upscale: Agm, photo: Path, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue", "green")]
    frames[0].save(home / "film.gif", save_all=True, append_images=frames[1:])
    assert upscale(home / "film.gif", home / "out.png", "--iterations", "0").code == 0
    assert "film.gif: only the first of 3 pictures is taken" in caplog.text
    with Image.open(home / "out.png") as image:
        assert image.convert("RGB").getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_orientation_profile_and_metadata(upscale: Agm, photo: Path, home: Path, kind: str) -> None:
    """Upright once, not twice; who, when and where stay; sizes and thumbnails of the old file do not."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif.update({ExifTags.Base.Orientation: 6, ExifTags.Base.Artist: "Ada", ExifTags.Base.Software: "a camera"})
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2024:01:02", ExifTags.Base.ExifImageWidth: 20}
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    given = Image.Exif()
    given.load(exif.tobytes())
    source, out = home / f"turned.{kind}", home / f"out.{kind}"
    Image.fromarray(photograph()).save(source, exif=given, icc_profile=profile)
    result = upscale(source, out, "--iterations", "0")
    assert (result.code, result.err) == (0, "")
    with Image.open(out) as image:
        image.load()
        assert image.size == (32, 40)
        turned = Image.fromarray(photograph()).transpose(Image.Transpose.ROTATE_270).resize((32, 40))
        assert np.abs(np.asarray(image, dtype=int) - np.asarray(turned)).mean() < 12
        assert image.info["icc_profile"] == profile
        kept = image.getexif()
        assert kept.get(ExifTags.Base.Orientation, 1) == 1
        assert kept[ExifTags.Base.Artist] == "Ada"
        assert ExifTags.Base.Software not in kept
        inner = kept.get_ifd(ExifTags.IFD.Exif)
        assert inner[ExifTags.Base.DateTimeOriginal] == "2024:01:02"
        assert ExifTags.Base.ExifImageWidth not in inner
        assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_a_profile_for_other_colours_is_left_out(upscale: Agm, photo: Path, home: Path) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"CMYK"
    Image.fromarray(photograph()).convert("CMYK").save(home / "print.jpg", icc_profile=bytes(profile))
    assert upscale(home / "print.jpg", home / "out.png", "--iterations", "0").code == 0
    with Image.open(home / "out.png") as image:
        assert image.mode == "RGB"
        assert "icc_profile" not in image.info


def test_damaged_exif_does_not_matter(upscale: Agm, photo: Path, home: Path) -> None:
    Image.fromarray(photograph()).save(home / "odd.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xffrubbish")
    assert upscale(home / "odd.jpg", home / "out.jpg", "--iterations", "0").code == 0


def test_names_that_are_no_text_or_would_move_the_cursor(upscale: Agm, photo: Path, home: Path) -> None:
    source, out = home / "many", home / "new"
    source.mkdir()
    for name in (b"\xff.png", b"\x1b[31m\n.png"):
        shutil.copy(photo, source / os.fsdecode(name))
    (source / os.fsdecode(b"\xfe.png")).write_text("no image")
    result = upscale(source, out)
    assert rf"{out}/\udcff.png: iteration 3 of 3, " in result.out
    assert rf"{out}/\x1b[31m .png: iteration 3 of 3, " in result.out
    assert rf"agm: skipped {source}/\udcfe.png: not an image that can be read" in result.err
    assert sorted(map(os.fsencode, names(out))) == [b"\x1b[31m\n.png", b"\xff.png"]


def test_a_folder(upscale: Agm, photo: Path, home: Path) -> None:
    source, out = home / "many", home / "many" / "new"
    (source / "deep").mkdir(parents=True)
    Image.fromarray(photograph()).save(source / "a.png")
    Image.fromarray(photograph(5, 6)).save(source / "deep" / "b.jpg")
    Image.fromarray(photograph(5, 6)).save(source / "a.gif")
    (source / "notes.txt").write_text("no picture")
    first = upscale(source, out)
    assert first.code == 0
    assert first.out.splitlines()[-1] == f"3 of 3 pictures -> {out}"
    assert f"{out / 'deep' / 'b.jpg'}: iteration 3 of 3, " in first.out
    assert (names(out), names(out / "deep")) == (["a.gif.png", "a.png", "deep"], ["b.jpg"])
    with Image.open(out / "a.png") as image:
        np.testing.assert_array_equal(image, expected(home, photograph()))

    (source / "broken.png").write_text("no image")
    (out / "a.png").write_text("mine")
    second = upscale(source, out)
    assert second.code == 1
    assert second.out == f"0 of 4 pictures -> {out}; 3 already there, kept (--force writes over them); 1 skipped\n"
    assert f"agm: skipped {source / 'broken.png'}: not an image that can be read\n" in second.err
    assert (out / "a.png").read_text() == "mine"
    forced = upscale(source, out, "--force")
    assert forced.code == 1
    assert forced.out.splitlines()[-1] == f"3 of 4 pictures -> {out}; 1 skipped"
    assert names(out) == ["a.gif.png", "a.png", "deep"]
    refused(upscale(source, home / "other", "--iterations", "9"), "iterations=9")
