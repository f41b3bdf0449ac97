"""Archives: the same files in whatever they come, and nothing that is damaged or hostile gets through."""

from __future__ import annotations

import io
import shutil
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.images import made_up, write_archive, write_prepared
from support.official import KINDS, pack, write

from agm.data.official.archives import Member, Source, distinct
from agm.errors import AgmError

NOISE = np.random.default_rng(0).bytes(3000)
CONTENT = {"top.txt": b"one", "a/b/deep.jpg": b"two" * 500, "a/empty": b"", "a.b/third.bin": NOISE}


def tree(root: Path, content: dict[str, bytes] = CONTENT) -> Path:
    for name, text in content.items():
        write(root / name, text)
    return root


def everything(path: Path) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as scratch:
        return {member.name: member.path.read_bytes() for member in Source(path, Path(scratch)).members}


def read_or_refusal(path: Path) -> tuple[dict[str, bytes], str]:
    """What is in the archive, or the one line that says why it is refused."""
    try:
        return everything(path), ""
    except AgmError as error:
        return {}, str(error)


def tar_with(path: Path, *infos: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def info_of(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


@pytest.mark.parametrize("ending", KINDS)
def test_an_archive_is_as_good_as_its_folder(tmp_path: Path, ending: str) -> None:
    folder = tree(tmp_path / "folder")
    packed = pack(folder, tmp_path / f"packed{ending}")
    assert everything(folder) == everything(packed) == CONTENT


def test_archives_in_a_folder_count_as_what_is_in_them(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", {"plain.txt": b"plain"})
    (root / "kit").mkdir()
    pack(tree(tmp_path / "one", {"x/1": b"first"}), root / "one.tgz")
    pack(tree(tmp_path / "two", {"x/2": b"second"}), root / "kit" / "two.zip")
    assert everything(root) == {"plain.txt": b"plain", "x/1": b"first", "kit/x/2": b"second"}


def test_one_plain_file_is_a_source(tmp_path: Path) -> None:
    assert everything(write(tmp_path / "x.mat", b"abc")) == {"x.mat": b"abc"}


def test_what_is_unpacked_lies_in_the_scratch_folder(tmp_path: Path) -> None:
    path = pack(tree(tmp_path / "folder"), tmp_path / "x.zip")
    (tmp_path / "scratch").mkdir()
    source = Source(path, tmp_path / "scratch")
    (member,) = (member for member in source.members if member.file == "third.bin")
    assert (member.folders, member.archive, str(member)) == (("a.b",), path, f"{path}: a.b/third.bin")
    assert member.path.is_relative_to(tmp_path / "scratch")


def test_hidden_files_and_prepared_sets_are_no_source(tmp_path: Path) -> None:
    junk = {".DS_Store": b"x", "a/._photo.jpg": b"x", "__MACOSX/photo.jpg": b"x", ".git/photo.jpg": b"x"}
    folder = tree(tmp_path / "folder", junk | {"photo.jpg": b"y"})
    write_prepared(folder / "set", made_up(2))
    assert everything(folder) == {"photo.jpg": b"y"}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in (*junk, "photo.jpg"):
            archive.writestr(name, "y")
    assert everything(tmp_path / "x.zip") == {"photo.jpg": b"y"}


HOSTILE = ("../x", "/etc/x", "a/../../x", "a/..", "C:/x", "C:\\x", "..\\x", "a\nb", "a\x1b[2Jb")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_that_lead_out_or_cannot_be_printed_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "tar":
        write_archive(path, {"fine.jpg": b"x", name: b"x"})
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, "x")
    with pytest.raises(AgmError, match=r"leads out of the archive|cannot be printed") as refused:
        everything(path)
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_links_and_devices_are_ignored_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = write(tmp_path / "secret.jpg", b"secret")
    special = [
        info_of("link.jpg", 0, tarfile.SYMTYPE, str(secret)),
        info_of("hard.jpg", 0, tarfile.LNKTYPE, "../secret.jpg"),
        info_of("pipe.jpg", 0, tarfile.FIFOTYPE),
        info_of("disk.jpg", 0, tarfile.BLKTYPE),
    ]
    assert everything(tar_with(tmp_path / "x.tar", *special, info_of("real.jpg"))) == {"real.jpg": bytes(3)}
    assert "ignored 4 links and special files" in caplog.text
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("link.jpg")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, str(secret))
    assert everything(tmp_path / "x.zip") == {}


@pytest.mark.parametrize("ending", KINDS)
def test_an_archive_that_is_cut_short_is_refused(tmp_path: Path, ending: str) -> None:
    path = pack(tree(tmp_path / "folder"), tmp_path / f"x{ending}")
    whole = path.read_bytes()
    for cut in (0, 1, 600, len(whole) // 2, 1024 if ending == ".tar" else len(whole) - 1):
        path.write_bytes(whole[:cut])
        found, refusal = read_or_refusal(path)
        assert found == {}
        assert refusal.startswith(str(path))
        assert "\n" not in refusal


def test_a_damaged_header_in_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    write_archive(path, {"a": b"1", "b": b"2"})
    content = bytearray(path.read_bytes())
    content[1024 + 150] ^= 1
    path.write_bytes(content)
    with pytest.raises(AgmError, match="it has no end"):
        everything(path)


@pytest.mark.parametrize("ending", [".zip", ".tgz", ".tar"])
def test_what_is_no_archive_is_refused(tmp_path: Path, ending: str) -> None:
    for content in (b"", b"<html>404</html>", NOISE):
        with pytest.raises(AgmError, match="cannot be read, damaged or cut short"):
            everything(write(tmp_path / f"x{ending}", content))
    with pytest.raises(AgmError, match="there is no such file or folder"):
        everything(tmp_path / f"none{ending}")


def by_file(path: Path) -> dict[str, Member]:
    with tempfile.TemporaryDirectory() as scratch:
        return distinct(Source(path, Path(scratch)).members, lambda member: member.file)


def test_a_file_beside_its_archive_counts_once(tmp_path: Path) -> None:
    folder = tree(tmp_path / "root")
    pack(folder, tmp_path / "x.tgz").rename(folder / "x.tgz")
    found = by_file(folder)
    assert {member.name for member in found.values()} == set(CONTENT)
    assert all(member.archive is None for member in found.values())
    write(folder / "top.txt", b"another")
    with pytest.raises(AgmError, match=r"top\.txt are two files of one name"):
        by_file(folder)


def test_files_of_one_name_and_size_in_two_archives_are_refused(tmp_path: Path) -> None:
    """Pictures that are not compressed are as large as any other of as many pixels."""
    for name, content in (("a", b"red"), ("b", b"blu")):
        folder = tmp_path / name
        folder.mkdir()
        write(folder / "0.bmp", content)
        pack(folder, tmp_path / f"{name}.zip").rename(tmp_path / f"{name}.zip")
        shutil.rmtree(folder)
    with pytest.raises(AgmError, match=r"0\.bmp are two files of one name; leave one of them out"):
        by_file(tmp_path)
