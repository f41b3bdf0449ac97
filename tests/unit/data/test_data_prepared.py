"""Prepared sets: what is written is read, and every kind of damage gives one error that names the file."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from support.images import COLUMNS, made_up, rows_for, webp, write_archive, write_manifest, write_prepared

from agm.data import prepared
from agm.errors import AgmError

IMAGES = made_up(5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_prepared(tmp_path / "mine", IMAGES, groups=["p", "p", "q", "r", "r"])


def members() -> dict[str, bytes]:
    return {f"{i:05d}.webp": webp(pixels) for i, pixels in enumerate(IMAGES)}


def test_what_was_written_is_read(folder: Path) -> None:
    images = prepared.load(folder)
    np.testing.assert_array_equal(images.images, IMAGES)
    assert images.name == "mine"
    assert images.sources == tuple(f"{i}.jpg" for i in range(5))
    assert images.groups == ("p", "p", "q", "r", "r")
    assert images.groups_leak
    assert not images.stand_in


def test_images_without_a_group_are_their_own(folder: Path) -> None:
    rows = [row | {"group": ""} for row in rows_for(IMAGES)]
    write_manifest(folder / "manifest.csv", rows)
    assert prepared.load(folder).groups == prepared.load(folder).sources


def test_rows_in_any_order_further_columns_and_further_members_are_fine(folder: Path) -> None:
    rows = [row | {"note": "x"} for row in rows_for(IMAGES)]
    write_manifest(folder / "manifest.csv", [rows[3], rows[1]], ("note", *reversed(COLUMNS)))
    path = folder / "manifest.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n")  # as spreadsheets save it
    images = prepared.load(folder)
    np.testing.assert_array_equal(images.images, IMAGES[[3, 1]])


def test_a_folder_is_prepared_with_either_file(folder: Path, tmp_path: Path) -> None:
    assert prepared.is_prepared(folder)
    (folder / "images.tar").unlink()
    assert prepared.is_prepared(folder)
    assert not prepared.is_prepared(tmp_path)


Damage = Callable[[Path], object]


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def rewrite(change: Callable[[list[dict[str, Any]]], object]) -> Damage:
    """Damage to the rows of the manifest."""

    def damage(folder: Path) -> None:
        rows = rows_for(IMAGES)
        change(rows)
        write_manifest(folder / "manifest.csv", rows)

    return damage


def repack(**changed: bytes) -> Damage:
    """Damage to one member of the archive; keyword `m2` is `00002.webp`."""

    def damage(folder: Path) -> None:
        contents = members() | {f"{int(name[1:]):05d}.webp": content for name, content in changed.items()}
        write_archive(folder / "images.tar", {name: content for name, content in contents.items() if content})

    return damage


def special(kind: bytes, target: str = "") -> Damage:
    """Member 2 is no plain file: a folder, a link, a device."""

    def damage(folder: Path) -> None:
        with tarfile.open(folder / "images.tar", "w") as archive:
            for name, content in members().items():
                info = tarfile.TarInfo(name)
                if name == "00002.webp":
                    info.type, info.linkname = kind, target
                    archive.addfile(info)
                else:
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))

    return damage


def picture(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no archive": (lambda f: (f / "images.tar").unlink(), "images.tar: missing"),
    "no manifest": (lambda f: (f / "manifest.csv").unlink(), "manifest.csv: missing"),
    "empty archive": (lambda f: (f / "images.tar").write_bytes(b""), "images.tar: damaged or cut short"),
    "not an archive": (lambda f: (f / "images.tar").write_text("nothing" * 500), "images.tar: damaged or cut short"),
    "archive cut in a member": (lambda f: edit(f / "images.tar", lambda b: b[:-12000]), "images.tar"),
    "archive cut in a header": (lambda f: edit(f / "images.tar", lambda b: b[:700]), "images.tar"),
    "compressed archive": (
        lambda f: edit(f / "images.tar", __import__("gzip").compress),
        "images.tar: damaged or cut short",
    ),
    "missing member": (repack(m2=b""), "00002.webp is in the manifest, but"),
    "empty member": (repack(m2=b"\0"), "00002.webp: not an image"),
    "other image": (repack(m2=webp(IMAGES[0])), "00002.webp does not match its sha256"),
    "lossy copy": (
        repack(m2=(lambda b: (Image.fromarray(IMAGES[2]).save(b, "WEBP", quality=60), b.getvalue())[1])(io.BytesIO())),
        "00002.webp does not match its sha256",
    ),
    "wrong size": (repack(m2=picture(64, 65)), "00002.webp does not match its sha256"),
    "huge size": (repack(m2=picture(1, 16000)), "00002.webp does not match its sha256"),
    "cut member": (repack(m2=webp(IMAGES[2])[:100]), "00002.webp: cannot be decoded"),
    "folder": (special(tarfile.DIRTYPE), "00002.webp is in the manifest, but"),
    "device": (special(tarfile.CHRTYPE), "00002.webp is in the manifest, but"),
    "link out": (
        special(tarfile.SYMTYPE, "/etc/passwd"),
        "00002.webp is in the manifest, but",
    ),
    "link": (special(tarfile.SYMTYPE, "00001.webp"), "00002.webp is in the manifest, but"),
    "link to itself": (
        special(tarfile.SYMTYPE, "00002.webp"),
        "00002.webp is in the manifest, but",
    ),
    "hard link to itself": (
        special(tarfile.LNKTYPE, "00002.webp"),
        "00002.webp is in the manifest, but",
    ),
    "wrong sha256": (rewrite(lambda rows: rows[2].update(sha256="0" * 64)), "00002.webp does not match its sha256"),
    "no sha256": (rewrite(lambda rows: rows[2].update(sha256="")), "00002.webp does not match its sha256"),
    "sha256 in capitals": (
        rewrite(lambda rows: rows[2].update(sha256="A" * 64)),
        "00002.webp does not match its sha256",
    ),
    "path for an index": (rewrite(lambda rows: rows[2].update(index="../../etc/passwd")), "is in the manifest, but"),
    "negative index": (rewrite(lambda rows: rows[2].update(index="-2")), "000-2.webp is in the manifest, but"),
    "index in other digits": (rewrite(lambda rows: rows[2].update(index="٢")), "is in the manifest, but"),
    "endless index": (rewrite(lambda rows: rows[2].update(index="9" * 5000)), "is in the manifest, but"),
    "no index": (rewrite(lambda rows: rows[2].update(index="")), "00000.webp does not match its sha256"),
    "another's index": (rewrite(lambda rows: rows[2].update(index="3")), "00003.webp does not match its sha256"),
    "index past the end": (rewrite(lambda rows: rows[2].update(index=77)), "00077.webp is in the manifest, but"),
    "no rows": (rewrite(lambda rows: rows.clear()), "manifest.csv: lists no image"),
    "empty manifest": (
        lambda f: (f / "manifest.csv").write_text(""),
        "manifest.csv: cannot be read as CSV with the columns index",
    ),
    "wrong columns": (
        lambda f: write_manifest(f / "manifest.csv", rows_for(IMAGES), ("index", "file", "sha256")),
        "manifest.csv: cannot be read as CSV with the columns index, source, width",
    ),
    "binary manifest": (lambda f: (f / "manifest.csv").write_bytes(webp(IMAGES[0])), "manifest.csv: "),
    "manifest is a folder": (
        lambda f: ((f / "manifest.csv").unlink(), (f / "manifest.csv").mkdir()),
        "manifest.csv: cannot be read",
    ),
    "short row": (
        lambda f: edit(f / "manifest.csv", lambda b: b + b"7,seven.jpg\r\n"),
        "00007.webp is in the manifest, but",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_gives_one_error_that_names_the_file(folder: Path, kind: str) -> None:
    damage, message = DAMAGES[kind]
    damage(folder)
    with pytest.raises(AgmError) as refused:
        prepared.load(folder)
    assert message in str(refused.value)
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_nothing_is_ever_unpacked(folder: Path, tmp_path: Path) -> None:
    """A member whose name climbs out of the folder is simply not looked at."""
    write_archive(folder / "images.tar", {"../escaped.webp": b"x", "/tmp/escaped.webp": b"x"} | members())
    before = sorted(tmp_path.rglob("*"))
    np.testing.assert_array_equal(prepared.load(folder).images, IMAGES)
    assert sorted(tmp_path.rglob("*")) == before


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=40))
def test_bytes_overwritten_anywhere_in_the_archive(
    tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes
) -> None:
    """Either the pixels are still those of the manifest, or it is said."""
    folder = write_prepared(tmp_path_factory.getbasetemp() / "overwritten", IMAGES[:2])
    content = bytearray((folder / "images.tar").read_bytes())
    at %= len(content)
    content[at : at + len(junk)] = junk
    (folder / "images.tar").write_bytes(content)
    try:
        images = prepared.load(folder)
    except AgmError:
        return
    np.testing.assert_array_equal(images.images, IMAGES[:2])


cells = st.sampled_from(
    ["0", "1", "12", "-1", "", "a.jpg", "../x", "f" * 64, "0" * 64, '"', "\0", "é", "\n", ","]
) | st.text(max_size=8)
manifests = st.lists(st.lists(cells, max_size=12).map(",".join), max_size=5).map("\n".join)


@given(st.binary(max_size=200) | manifests.map(lambda rows: f"{','.join(COLUMNS)}\n{rows}".encode("utf-8", "replace")))
@example(b"\xef\xbb\xbf" + ",".join(COLUMNS).encode())
@example((",".join(COLUMNS) + "\n" + "x" * 200_000).encode())
def test_any_manifest_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "manifest.csv"
    path.write_bytes(content)
    try:
        rows, named = prepared.read_manifest(path), True
    except AgmError as error:
        named = str(path) in str(error)
    else:
        assert len(rows)
    assert named
