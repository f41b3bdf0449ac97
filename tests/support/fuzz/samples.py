"""Valid files, small ones, of every kind that is read."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

from agm import files
from agm.config import RunConfig
from agm.networks.generator import Generator
from support import official
from support.images import made_up, write_prepared

TARS = {".tar": "w", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}
ARCHIVES = (*TARS, ".zip")


@cache
def pictures() -> dict[str, list[bytes]]:
    """Ending -> files of that kind, in many modes."""
    colour = Image.fromarray(made_up(1, 24)[0])
    modes = [colour.convert(mode) for mode in ("RGB", "L", "P", "1", "LA", "RGBA")]
    jpegs = [colour, colour.convert("L"), colour.convert("CMYK")]
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "maker", 0x8769: {0x9003: "2020:01:01 00:00:00"}, 0x8825: {1: "N"}})
    exif.load(exif.tobytes())  # Pillow saves a TIFF only with EXIF data that it has read
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    described: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    film: dict[str, Any] = {"save_all": True, "append_images": [colour.rotate(90), colour.rotate(180)]}
    deep = Image.fromarray(np.arange(576, dtype=np.uint16).reshape(24, 24) * 100)
    real = Image.fromarray(np.linspace(-1, 1, 576, dtype=np.float32).reshape(24, 24))
    encoded = official.encoded
    return {
        ".png": [encoded(image, "PNG") for image in (*modes, deep)] + [encoded(colour, "PNG", **described), *_bombs()],
        ".jpg": [encoded(image) for image in jpegs]
        + [encoded(colour, **described), encoded(colour, progressive=True, subsampling=0)],
        ".webp": [encoded(colour, "WEBP", lossless=True, **described), encoded(modes[5], "WEBP"), _film("WEBP", film)],
        ".tif": [encoded(image, "TIFF") for image in (colour, deep, real, modes[3])]
        + [encoded(colour, "TIFF", compression=c) for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")]
        + [encoded(colour, "TIFF", exif=exif), _film("TIFF", film), _floats(), _floats(compression="zlib")],
        ".gif": [encoded(modes[2], "GIF"), _film("GIF", film)],
        ".bmp": [encoded(image, "BMP") for image in modes[:4]],
        ".ico": [encoded(colour, "ICO")],
        ".ppm": [encoded(colour, "PPM"), encoded(deep, "PPM")],
        ".tga": [encoded(colour, "TGA", compression="tga_rle")],
        ".pcx": [encoded(colour, "PCX")],
        ".jp2": [encoded(colour, "JPEG2000")],
        ".psd": [b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\4\0\0\0\4\0\10\0\3" + bytes(12 + 2 + 48)],
        ".eps": [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"],
    }


def _film(kind: str, options: dict[str, Any]) -> bytes:
    return official.encoded(Image.fromarray(made_up(1, 24)[0]), kind, **options)


def _floats(**options: Any) -> bytes:
    """Colours that Pillow does not read."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, made_up(1, 24)[0] / 255, photometric="rgb", **options)
    return buffer.getvalue()


def _bombs() -> list[bytes]:
    """Small PNG files that hold large pictures: as large as is taken, and larger ones."""
    return [_png(9400, 9400, 16, 0), _png(9400, 9400, 8, 6), _png(20_000, 20_000, 1, 0), _png(2**31 - 1, 1, 8, 2)]


def _png(width: int, height: int, depth: int, colour: int) -> bytes:
    """All zeros; cut short where it would be refused anyway."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0])
    channels = {0: 1, 2: 3, 6: 4}[colour]
    size = (width * depth * channels // 8 + 1) * height
    rows = zlib.compress(bytes(size if width * height < Image.MAX_IMAGE_PIXELS else 999), 1)
    parts = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in parts
    )


def tar(members: list[tuple[str, bytes, bytes, int | None]], kind: str = ".tar") -> bytes:
    """`members`: name, type (tarfile.REGTYPE, SYMTYPE, ...), content or what is linked to, and a size if it lies."""
    buffer = io.BytesIO()
    mode: Any = TARS[kind]
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.GNU_FORMAT) as archive:
        for name, type_, content, size in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = type_, content.decode("latin-1") if type_ in b"12" else ""
            plain = type_ in (tarfile.REGTYPE, tarfile.CONTTYPE)
            info.size = (len(content) if size is None else size) if plain else 0
            archive.addfile(info)
            if plain:
                padded = content + bytes(-len(content) % tarfile.BLOCKSIZE)
                archive.fileobj.write(padded)  # type: ignore[union-attr]
                archive.offset += len(padded)
    return buffer.getvalue()


def zipped(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # names that are there twice are meant
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@cache
def archives() -> dict[str, list[bytes]]:
    """Ending -> archives; the last of them unpacks to much more than it is."""
    members = [("a/1.jpg", b"first"), ("a/b/2.jpg", b"second" * 200), ("empty", b"")]
    zeros = bytes(80 * 2**20)
    plain = [(name, tarfile.REGTYPE, content, None) for name, content in members]
    found = {kind: [tar(plain, kind)] for kind in TARS} | {".zip": [zipped(members)]}
    found[".tgz"].append(gzip.compress(tar([("zeros", tarfile.REGTYPE, zeros, None)]), 9))
    found[".zip"].append(zipped([("zeros", zeros)]))
    return found


@cache
def patches() -> dict[str, list[bytes]]:
    """Name of a file -> what it may hold: SAT-4 as CSV."""
    return {
        f"X_{half}_sat4.csv": [official.csv_bytes(official.patches(count))]
        for half, count in (("train", 4), ("test", 1))
    }


CARD = b"name: cars\ngroups_leak: false\nsubstitute: null\ncounts: {train: 2}\n"


@cache
def prepared() -> dict[str, bytes]:
    """The files of a prepared set."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_prepared(Path(folder, "set"), made_up(2))
        return official.contents(path) | {"card.yml": CARD}


def small() -> RunConfig:
    return RunConfig().replace(width=2, iterations=2, schedule="x--x (1) - xxxx (1)", layers="rnnr", epochs=2)


@cache
def weights() -> bytes:
    config = small()
    meta = {"kind": "generator", "config": config.to_dict()}
    return files.encode_tensors(Generator(config.generator).state_dict(), meta)
