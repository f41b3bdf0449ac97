"""A picture comes out as it went in, twice as large: what its file says of it, in every format that can hold it."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from support.anytime import weights
from support.command import refused
from support.pictures import BAD_TAGS, ODD, TRANSPARENT, cmyk_profile, exif, png, tiff

from agm.data import images as decoders
from agm.data.images import read_image, survey

Agm = Callable[..., Any]
KINDS = ["png", "jpg", "webp", "tif"]


@pytest.fixture
def upscale(agm_command: Agm, home: Path) -> Agm:
    model = weights(home / "model" / "w.safetensors")

    def call(*arguments: str | Path) -> Any:
        return agm_command("upscale", "--model", model, *arguments)

    return call


@pytest.fixture
def doubled(upscale: Agm, home: Path) -> Callable[..., Image.Image]:
    """What becomes of a file's content by bicubic upsampling, in another or the same format."""

    def call(content: bytes, given: str, wanted: str, *options: str) -> Image.Image:
        (home / f"in.{given}").write_bytes(content)
        done = upscale(home / f"in.{given}", home / f"out.{wanted}", "--iterations", "0", "--force", *options)
        assert done.code == 0, done.err
        with Image.open(home / f"out.{wanted}") as image:
            image.load()
            return image

    return call


def content(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()), **options)
    return buffer.getvalue()


def odd(name: str) -> list[Path]:
    folder = ODD / name
    if not folder.is_dir():
        pytest.skip("the pictures from bug reports are not at hand")
    return sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg", ".tif", ".webp", ".csv"))


HALVES = np.zeros((16, 32, 3), np.uint8)
HALVES[:, :16, 0] = 255
"""Red at the left."""


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
@pytest.mark.parametrize("tag", BAD_TAGS)
def test_upright_whatever_else_the_metadata_hold(doubled: Any, kind: str, tag: str) -> None:
    given = content(Image.fromarray(HALVES), kind, exif=exif(6, BAD_TAGS[tag]))
    for wanted in KINDS:
        image = doubled(given, kind, wanted)
        assert image.size == (32, 64)
        assert image.convert("RGB").getpixel((16, 4))[0] > 240  # red at the top
        assert image.getexif().get(ExifTags.Base.Make) == "Mak"
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert read_image(io.BytesIO(given), "x").size == (16, 32)


def test_upright_by_xmp(doubled: Any) -> None:
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6" exif:PixelXDimension="32" dc:b="c"/></x:xmpmeta>'
    )
    given = content(Image.fromarray(HALVES), "jpg", xmp=xmp)
    for wanted in KINDS:
        image = doubled(given, "jpg", wanted)
        assert image.size == (32, 64)
        kept = image.info["xmp"]
        assert b'dc:b="c"' in (kept if isinstance(kept, bytes) else kept.encode())
        assert b"Orientation" not in kept
        assert b"Dimension" not in kept


def test_the_odd_orientations(upscale: Agm, home: Path) -> None:
    paths = odd("01-exif-orientation")
    assert upscale(paths[0].parent, home / "out", "--iterations", "0").code == 0
    for path in paths:
        with Image.open(home / "out" / path.name) as image:
            assert image.size == (60, 120)
            assert image.getexif()[ExifTags.Base.Make] == "Maker"


FINE = np.linspace(0, 4095, 32).astype(np.uint32).reshape(4, 8)
PACKED = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in FINE.reshape(-1, 2).tolist())
GREYS = {
    "12 bits": (tiff((8, 4), 12, 1, PACKED), FINE / 4095),
    "16 bits, white is zero": (tiff((8, 4), 16, 0, (FINE * 16).astype("<u2").tobytes()), 1 - FINE * 16 / 65535),
    "16 bits": (tiff((8, 4), 16, 1, (FINE * 16).astype("<u2").tobytes()), FINE * 16 / 65535),
    "8 bits, white is zero": (tiff((8, 4), 8, 0, (FINE // 16).astype(np.uint8).tobytes()), 1 - FINE // 16 / 255),
    "floats to 255": (content(Image.fromarray((FINE / 4095 * 255).astype(np.float32)), "tif"), FINE / 4095),
    "floats to 65535": (content(Image.fromarray((FINE / 4095 * 65535).astype(np.float32)), "tif"), FINE / 4095),
}


def deep(compression: str | None, byteorder: str) -> dict[str, tuple[bytes, Any]]:
    """Pictures that Pillow reads wrongly or not at all, or halves in silence: file and shares of white."""
    options = {"compression": compression, "byteorder": byteorder}
    grey = (FINE * 16).astype(np.uint16)
    dark = grey < 9000
    planes = np.stack([grey, grey[::-1], grey // 2])
    made = {
        "planes": (planes, np.moveaxis(planes, 0, 2) / 65535, {"photometric": "rgb", "planarconfig": "separate"}),
        "floats": ((grey / 65535).astype(np.float32), grey / 65535, {}),
        "floats, white is zero": ((grey / 65535).astype(np.float32), 1 - grey / 65535, {"photometric": "miniswhite"}),
        "16 bits, white is zero": (grey, 1 - grey / 65535, {"photometric": "miniswhite"}),
        "half floats to 255": ((grey / 65535 * 255).astype(np.float16), grey / 65535, {}),
        "doubles, no number and negative": (np.where(dark, [np.nan, -1] * 4, grey / 65535), ~dark * grey / 65535, {}),
        "colours of doubles to 255": (np.dstack([*planes]) / 257, np.dstack([*planes]) / 65535, {"photometric": "rgb"}),
        "planes of CMYK": (
            np.stack([*planes, 0 * grey]),
            1 - np.moveaxis(planes, 0, 2) / 65535,
            {"photometric": "separated", "planarconfig": "separate"},
        ),
        "grey, white is zero, with transparency": (
            np.dstack([grey, 0 * grey + 65535]),
            np.dstack([1 - grey / 65535, 0 * grey + 1]),
            {"photometric": "miniswhite", "planarconfig": "contig", "extrasamples": ["unassalpha"]},
        ),
        "premultiplied floats": (
            (np.dstack([*planes, 0 * grey + 65535]) / 65535).astype(np.float32),
            np.dstack([*planes, 0 * grey + 65535]) / 65535,
            {"photometric": "rgb", "extrasamples": ["assocalpha"]},
        ),
        "CMYK": (np.dstack([*planes, 0 * grey]), 1 - np.moveaxis(planes, 0, 2) / 65535, {"photometric": "separated"}),
    }
    files = {}
    for name, (array, shares, more) in made.items():
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options, **more)
        files[name] = buffer.getvalue(), shares
    return files


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", "<>")
def test_deep_tiffs(doubled: Any, caplog: pytest.LogCaptureFixture, compression: str | None, byteorder: str) -> None:
    for name, (given, shares) in deep(compression, byteorder).items():
        caplog.clear()
        image = doubled(given, "tif", "tif")
        top = {"I;16": 65535, "F": 255 if "255" in name else 1}.get(image.mode, 255)
        bands = np.moveaxis(np.atleast_3d(shares.astype(np.float32)), 2, 0)
        large = [np.asarray(Image.fromarray(band).resize((16, 8), Image.Resampling.BICUBIC)) for band in bands]
        assert np.abs(np.atleast_3d(np.asarray(image)) / top - np.dstack(large).clip(0, 1)).max() < 0.01, name
        assert ("more than 8 bits are read as 8 bits" in caplog.text) == (image.mode not in ("I;16", "F")), name
        trained = np.asarray(read_image(io.BytesIO(given), "x"))
        assert (
            np.abs(
                trained / 255 - (shares[..., :1] if "transparency" in name else np.atleast_3d(shares)[..., :3])
            ).max()
            < 0.01
        ), name


def test_deep_colours_of_other_formats_are_said(doubled: Any, caplog: pytest.LogCaptureFixture) -> None:
    jpeg2000 = bytearray(content(Image.new("RGB", (8, 8)), "jpeg2000"))
    start = jpeg2000.find(b"\xff\x4f\xff\x51")
    sgi = struct.pack(">HBBHHHH", 474, 0, 2, 3, 2, 1, 3) + bytes(500 + 12)
    for name, given in (("ppm", b"P6 2 1 1023\n" + bytes(12)), ("sgi", sgi), ("jp2", jpeg2000)):
        jpeg2000[start + 42 : start + 51 : 3] = b"\x0b" * 3  # 12 bits
        doubled(bytes(given), name, "png")
        assert f"in.{name}: colours of more than 8 bits" in caplog.text
    caplog.clear()
    for kind in ("jpeg2000", "avif", "ppm", "sgi"):
        doubled(content(Image.new("RGB", (8, 8)), kind), kind, "png")
    assert caplog.text == ""


@pytest.mark.parametrize("name", GREYS)
def test_what_numbers_mean(doubled: Any, name: str) -> None:
    given, shares = GREYS[name]
    expected = np.asarray(Image.fromarray(shares.astype(np.float32)).resize((16, 8), Image.Resampling.BICUBIC))
    for wanted in ("png", "tif"):
        image = doubled(given, "tif", wanted)
        top = {"L": 255, "I;16": 65535, "F": 65535 if "65535" in name else 255}[image.mode]
        assert np.abs(np.asarray(image) / top - expected.clip(0, 1)).max() < 0.004


@pytest.mark.parametrize("name", TRANSPARENT)
def test_a_colour_that_is_transparent(doubled: Any, name: str) -> None:
    for wanted in ("png", "webp", "tif"):
        alpha = np.asarray(doubled(TRANSPARENT[name], "png", wanted).getchannel("A"))
        assert (alpha[6:10, 6:10] < 30).all()
        assert (alpha[:2] > 225).all()


def test_gamma_and_colour_space_of_a_png(doubled: Any, caplog: pytest.LogCaptureFixture) -> None:
    grey = np.full((8, 8, 3), 64)
    linear = png(grey, 8, 2, (b"gAMA", struct.pack(">I", 100000)), (b"cICP", b"\x09\x10\0\1"))
    kept = doubled(linear, "png", "png")
    assert (kept.info["gamma"], kept.getpixel((3, 3))) == (1.0, (64, 64, 64))
    assert b"cICP\x09\x10\0\1" in Path(kept.filename).read_bytes()
    assert caplog.text == ""
    linear = png(grey, 8, 2, (b"gAMA", struct.pack(">I", 100000)))
    for wanted in ("jpg", "webp", "tif"):
        for option in ("--force", "--strip", "--compare"):
            value = doubled(linear, "png", wanted, option).getpixel((3, 3))[0]
            assert abs(value - 255 * (64 / 255) ** (1 / 2.2)) < 2
        with Image.open(Path(kept.filename).with_name(f"out_compare.{wanted}")) as both:
            assert abs(both.getpixel((3, 3))[0] - value) < 2  # type: ignore[index,operator]
    assert "JPEG does not hold a gamma, converted" in caplog.text
    assert doubled(linear, "png", "png", "--strip").info["gamma"] == 1.0


def test_cmyk_by_its_profile(doubled: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Here one whose cyan is a middle grey; and without it, or with rubbish, an estimate, which is said."""
    profile = cmyk_profile([{0: 255, 8: 128}.get(corner, 0) for corner in range(16)])
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    for kind in ("jpg", "tif"):
        for wanted in KINDS:
            red, green, blue = doubled(content(cyan, kind, icc_profile=profile), kind, wanted).getpixel((5, 5))
            assert abs(red - 119) < 4
            assert max(red, green, blue) - min(red, green, blue) < 6
    assert "profile" not in caplog.text
    assert doubled(content(cyan, "jpg", icc_profile=b"rubbish" * 30), "jpg", "png").getpixel((5, 5))[0] < 10
    assert "its colour profile cannot be used" in caplog.text
    doubled(content(cyan, "jpg"), "jpg", "png")
    assert "CMYK without a colour profile, its colours are estimated" in caplog.text


@pytest.mark.parametrize("given", ["png", "jpg", "tif"])
@pytest.mark.parametrize("wanted", KINDS)
def test_density(doubled: Any, given: str, wanted: str) -> None:
    image = doubled(content(Image.new("RGB", (8, 8)), given, dpi=(300, 200)), given, wanted)
    if wanted == "webp":
        found = [float(image.getexif()[tag]) for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution)]
    else:
        found = list(image.info["dpi"])
    assert found == pytest.approx([300, 200], abs=0.1)


def test_text_and_comments(doubled: Any, caplog: pytest.LogCaptureFixture) -> None:
    info = PngInfo()
    info.add_text("parameters", "a cat, 20 steps")
    given = content(Image.new("RGB", (8, 8)), "png", pnginfo=info)
    assert doubled(given, "png", "png").text == {"parameters": "a cat, 20 steps"}
    assert caplog.text == ""
    doubled(given, "png", "jpg")
    assert "JPEG does not hold PNG's text (parameters)" in caplog.text
    said = content(Image.new("RGB", (8, 8)), "jpg", comment=b"by Ada")
    assert doubled(said, "jpg", "jpg").info["comment"] == b"by Ada"
    assert doubled(said, "jpg", "png").text == {"Comment": "by Ada"}
    doubled(content(Image.new("RGB", (8, 8)), "tif", tiffinfo={33550: (1.0, 1.0, 0.0)}), "tif", "jpg")
    assert "not kept: tag 33550" in caplog.text


@pytest.mark.parametrize("what", ["exif", "xmp"])
def test_metadata_that_are_too_long_do_not_cost_the_picture(
    doubled: Any, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    said = Image.Exif()
    said.update({ExifTags.Base.Make: "Maker", ExifTags.Base.ImageDescription: "x" * 70000 if what == "exif" else "x"})
    options = {"exif": said} | ({"xmp": b"y" * 70000} if what == "xmp" else {})
    given = content(Image.new("RGB", (8, 8)), "webp", **options)
    image = doubled(given, "webp", "jpg")
    assert (ExifTags.Base.Make in image.getexif()) == (what == "xmp")
    assert f"JPEG cannot hold its {what} (" in caplog.text
    assert doubled(given, "webp", "png").getexif()[ExifTags.Base.Make] == "Maker"


def test_colours_of_the_full_size_and_without_loss(doubled: Any) -> None:
    lines = np.zeros((16, 16, 3), np.uint8)
    lines[:, ::2, 0], lines[:, 1::2, 2] = 255, 255
    given = Image.fromarray(lines)
    expected = np.asarray(given.resize((32, 32), Image.Resampling.BICUBIC), dtype=int)
    for kind, options, most in (
        ("jpg", {"quality": 100, "subsampling": 0}, 4),
        ("webp", {"lossless": True}, 0),
        ("webp", {"lossless": True, "icc_profile": srgb()}, 0),
    ):
        image = doubled(content(given, kind, **options), kind, kind)
        assert np.abs(np.asarray(image.convert("RGB")) - expected).mean() <= most
    assert np.abs(np.asarray(doubled(content(given, "webp", quality=90), "webp", "webp")) - expected).mean() > 1


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_the_odd_pictures_of_flat_colours_transparency_and_lines(upscale: Agm, home: Path) -> None:
    """With the recorded default network where the values are about one."""
    for path in odd("13-exif-too-long"):
        assert upscale(path, home / "o.jpg", "--iterations", "0").code == 0
    for path in (*odd("02-colour-shift"), *odd("06-frame")):
        out = home / f"{path.stem}.out.png"
        assert upscale(path, out).code == 0
        with Image.open(path) as given, Image.open(out) as image:
            means = np.asarray(given.convert("RGB"), float).mean((0, 1)), np.asarray(image, float).mean((0, 1))
        assert np.abs(means[0] - means[1]).max() < 1
    for path in odd("05-alpha-halo"):
        assert upscale(path, home / "disc.png").code == 0
        with Image.open(home / "disc.png") as image:
            red, alpha = (np.asarray(image.getchannel(name)) for name in "RA")
        assert red[(alpha >= 20) & (alpha <= 235)].min() > 230


def test_no_program_and_no_other_decoder_is_started(
    agm_command: Agm, upscale: Agm, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostScript in disguise, with a Ghostscript that would tell."""
    folder, programs = home / "photos", home / "bin"
    folder.mkdir()
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch {home}/started\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for name in ("page.png", "page.jpg", "page.eps", "page"):
        (folder / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    done = upscale(folder, home / "out", "--iterations", "0")
    assert (done.code, done.out) == (1, f"0 of 2 pictures -> {home / 'out'}; 2 skipped\n")
    assert "left out 2 no pictures: page, page.eps" in done.err
    refused(upscale(folder / "page.png", home / "o.png"), "page.png: not an image that can be read")
    assert agm_command("data", "verify", folder).code == 1
    assert not (home / "started").exists()
    assert {"EPS", "WMF", "PSD", "FITS", "HDF5"}.isdisjoint(decoders.DECODERS)


def test_what_of_a_folder_is_taken_is_told_by_content(upscale: Agm, home: Path) -> None:
    folder = home / "photos"
    (folder / "deep").mkdir(parents=True)
    image = Image.fromarray(HALVES)
    for name, kind in (
        ("a.png", "PNG"),
        ("b.png", "JPEG"),
        ("noending", "JPEG"),
        ("two.mpo", "MPO"),
        ("x.avif", "AVIF"),
    ):
        image.save(folder / name, kind)
    (folder / "deep" / "x.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "x.jxl").write_bytes(b"\xff\x0a")
    (folder / "film.mpg").write_bytes(b"\0\0\x01\xba" + bytes(60))
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_text("")
    (folder / "linked").symlink_to(folder / "deep")
    (folder / "dangling.png").symlink_to(folder / "none")
    os.mkfifo(folder / "pipe.png")
    pictures, _ = survey(folder)
    assert {path.name for path in pictures} == {
        "a.png",
        "b.png",
        "noending",
        "two.mpo",
        "x.avif",
        "x.heic",
        "x.jxl",
    }
    done = upscale(folder, home / "out", "--iterations", "0")
    assert (done.code, done.out.splitlines()[-1]) == (1, f"5 of 7 pictures -> {home / 'out'}; 2 skipped")
    for words in (
        "deep/x.heic: HEIC is read only with a plug-in; pip install pillow-heif",
        "x.jxl: JPEG XL is read only with a plug-in",
        "left out 2 no pictures: film.mpg, notes.txt",
        "left out 1 hidden: .hidden.png",
        "left out 1 linked: linked",
        "left out 2 that can be no pictures: dangling.png, pipe.png",
    ):
        assert words in done.err
    made = {"a.png", "b.png", "noending.png", "two.mpo.png", "x.avif.png"}
    assert {path.name for path in (home / "out").iterdir()} == made
    with Image.open(home / "out" / "b.png") as right:
        assert right.format == "PNG"
    for name in ("deep/x.heic", "x.jxl"):
        (folder / name).unlink()
    again = upscale(folder, home / "out", "--iterations", "0")
    assert (again.code, again.out) == (
        0,
        f"0 of 5 pictures -> {home / 'out'}; 5 already there, kept (--force writes over them)\n",
    )


def test_one_pictures_trouble_is_its_own(
    upscale: Agm, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Names as long as can be, names that become too long, a folder where a file should be, files nobody may read."""
    folder = home / "photos"
    folder.mkdir()
    for name in ("a.png", "c.png", "d.png", f"{'b' * 251}.png", f"{'e' * 251}.bmp"):
        Image.fromarray(HALVES).save(folder / name)
    (home / "out" / "c.png" / "x").mkdir(parents=True)
    done = upscale(folder, home / "out", "--iterations", "0", "--force")
    assert (done.code, done.out.splitlines()[-1]) == (1, f"3 of 5 pictures -> {home / 'out'}; 2 skipped")
    assert {"a.png", "d.png", f"{'b' * 251}.png"} < {path.name for path in (home / "out").iterdir()}
    assert done.err.count("cannot be written") == 2


def test_a_folder_that_cannot_be_looked_into(upscale: Agm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "photos" / "locked").mkdir(parents=True)
    Image.fromarray(HALVES).save(home / "photos" / "a.png")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    done = upscale(home / "photos", home / "out", "--iterations", "0")
    assert done.code == 1
    assert "left out 1 that cannot be looked into: locked" in done.err


def test_modes_and_links_stay(upscale: Agm, home: Path) -> None:
    Image.fromarray(HALVES).save(home / "a.png")
    before = os.umask(0o077)
    try:
        upscale(home / "a.png", home / "new.png", "--iterations", "0")
    finally:
        os.umask(before)
    assert (home / "new.png").stat().st_mode & 0o777 == 0o600
    (home / "new.png").chmod(0o640)
    (home / "link.png").symlink_to("new.png")
    upscale(home / "a.png", home / "link.png", "--iterations", "0", "--force")
    assert (home / "link.png").is_symlink()
    assert (home / "new.png").stat().st_mode & 0o777 == 0o640
    with Image.open(home / "new.png") as image:
        assert image.size == (64, 32)


def test_names_sizes_and_formats(upscale: Agm, home: Path) -> None:
    profile = srgb()
    image = Image.fromarray(HALVES)
    said = Image.Exif()
    said[ExifTags.Base.Artist] = "Ada"
    image.save(home / "a.jpg", exif=said, icc_profile=profile)
    image.save(home / "b.gif")
    none = ("--iterations", "0")
    for arguments, name, size in (
        (("a.jpg",), "a_x2.jpg", (64, 32)),
        (("b.gif",), "b.gif_x2.png", (64, 32)),
        (("a.jpg", "--format", "webp"), "a_x2.webp", (64, 32)),
        (("a.jpg", "--scale", "3"), "a_x3.jpg", (96, 48)),
        (("a.jpg", "--scale", "1.5"), "a_x1.5.jpg", (48, 24)),
        (("a.jpg", "--width", "200"), "a_w200.jpg", (200, 100)),
        (("a.jpg", "s.png", "--strip"), "s.png", (64, 32)),
        (("a.jpg", "c.png", "--compare"), "c_compare.png", (128, 32)),
    ):
        assert (
            upscale(
                home / arguments[0], *(home / a if "." in a and a[0].isalpha() else a for a in arguments[1:]), *none
            ).code
            == 0
        )
        with Image.open(home / name) as made:
            assert made.size == size
    with Image.open(home / "s.png") as made:
        assert (len(made.getexif()), made.info["icc_profile"]) == (0, profile)
    for words, arguments in (
        ("exclude each other", ("--scale", "2", "--width", "100")),
        ("must be more than 1", ("--scale", "1")),
        ("must be more than the picture's 32", ("--width", "32")),
        ("unknown picture format '.gif'", ("--format", "gif")),
    ):
        refused(upscale(home / "a.jpg", *arguments, "--force"), words)
    refused(upscale(home / "a.jpg", home / "n.png", "--format", "jpg"), "contradict each other")
    upscale(home / "a.jpg", home / "q.jpg", "--quality", "20", *none)
    assert (home / "q.jpg").stat().st_size < (home / "a_x2.jpg").stat().st_size
    upscale(home / "a.jpg", home / "l.webp", "--lossless", *none)
    assert b"VP8L" in (home / "l.webp").read_bytes()[:4000]
    (home / "many").mkdir()
    shutil.copy(home / "b.gif", home / "many")
    assert upscale(home / "many", "--format", "jpg", *none).code == 0
    assert [path.name for path in (home / "many_x2").iterdir()] == ["b.jpg"]


def test_compare_costs_no_other_file(upscale: Agm, home: Path) -> None:
    folder, none = home / "photos", ("--iterations", "0", "--compare")
    folder.mkdir()
    profile = srgb()
    for name in ("a.png", "a_compare.png"):
        Image.fromarray(HALVES).save(folder / name, icc_profile=profile)
    words = "a.png and", "would both become a_compare.png"
    refused(upscale(folder, home / "out", *none), *words)
    refused(upscale(folder / "a.png", folder / "b.png", *none[:2], "--format", "jpg"), "contradict")
    given = (folder / "a_compare.png").read_bytes()
    (folder / "b_compare.png").write_bytes(given)
    refused(upscale(folder / "a.png", folder / "b.png", *none), "b_compare.png: is there already")
    assert (folder / "b_compare.png").read_bytes() == given
    refused(upscale(folder / "a.png", "-", *none), "--compare")
    assert upscale(folder / "a.png", home / "c.png", *none).code == 0
    with Image.open(home / "c_compare.png") as image:
        assert image.info["icc_profile"] == profile


def test_json(upscale: Agm, home: Path) -> None:
    Image.fromarray(HALVES).save(home / "a.png")
    said = json.loads(upscale(home / "a.png", home / "o.png", "--json", "--deadline", "9m").out)
    assert {"iteration": 3, "width": 64, "height": 32, "deadline": 540.0, "met": True}.items() <= said.items()
    assert said["schedule"] == "x--x (1) - xxxx (2)"
    assert said["seconds"] > 0


def test_pipes(upscale: Agm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, made = content(Image.fromarray(HALVES), "png"), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(made, write_through=True))
    done = upscale("-", "-", "--iterations", "0", "--format", "jpg")
    assert (done.code, done.out) == (0, "")
    assert "bicubic" in done.err
    with Image.open(io.BytesIO(made.getvalue())) as image:
        assert (image.format, image.size) == ("JPEG", (64, 32))


def test_a_way_past_the_guard(upscale: Agm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(HALVES).save(home / "a.png")
    for limit in (400, 200):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        refused(upscale(home / "a.png", home / "o.png"), f"more than {limit} pixels", "--large takes it, and", "bytes")
    assert upscale(home / "a.png", home / "o.png", "--large", "--iterations", "0").code == 0
    assert Image.MAX_IMAGE_PIXELS == 200


def test_resuming_is_linear(home: Path) -> None:
    """What is there already is looked up once for each picture, not compared with all others."""
    from agm.anytime import batch

    (home / "in").mkdir()
    for i in range(20):
        (home / "in" / f"{i}.png").touch()
    folder = batch.Folder.of(home / "in", home / "out", batch.How())
    seen = []

    class Counted(type(folder.pairs[0][1])):  # type: ignore[misc]
        def __eq__(self, other: object) -> bool:
            seen.append(other)
            return super().__eq__(other)

        __hash__ = type(folder.pairs[0][1]).__hash__

    folder.pairs = [(path, Counted(target)) for path, target in folder.pairs]
    (home / "out").mkdir()
    for _, target in folder.pairs:
        target.touch()

    class Checked:
        def check(self, *_: Any) -> None: ...

    assert folder.upscale(Checked(), batch.How())  # type: ignore[arg-type]
    assert len(seen) < 60
