"""Pictures, archives and data sets."""

from __future__ import annotations

import tarfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image

from agm.anytime import image_files, tiles
from agm.anytime.pixels import Pixels
from agm.data import folder as picture_folder
from agm.data import prepared
from agm.data.official import geo
from agm.data.official.archives import Source
from agm.data.official.prepare import prepare
from agm.errors import AgmError
from support import official
from support.fuzz import samples
from support.fuzz.check import Target
from support.fuzz.damage import damaged, spoilt
from support.fuzz.yamls import as_yaml

Named = SearchStrategy[tuple[str, bytes]]
"""The name of a file, and what is in it."""


def spoilt_files(known: dict[str, list[bytes]]) -> Named:
    """A damaged file of any of the kinds."""
    return st.sampled_from(sorted(known)).flatmap(lambda name: st.tuples(st.just(name), spoilt(known[name])))


def use_image(folder: Path, value: tuple[str, bytes]) -> None:
    """As a picture of a folder that is a data set."""
    ending, content = value
    path = official.write(folder / f"x{ending}", content)
    picture_folder.square(picture_folder.read_image(path, str(path)), 16)


def use_picture(folder: Path, value: tuple[tuple[str, bytes], str]) -> None:
    """As `agm upscale` reads and writes it, but for the network."""
    (ending, content), out = value
    path = official.write(folder / f"x{ending}", content)
    picture = image_files.read(path)
    try:
        pixels = Pixels.of(picture.image)
        small = Pixels.of(picture.image.crop((0, 0, 9, 9)))
        pixels.tensor(*tiles.cut(9, 9, tiles.LEAST))
        image = small.restore(small.bicubic())
        assert isinstance(image, Image.Image)
        image_files.encode(folder / f"out{out}", image, picture)
    except AgmError as error:  # the command puts the name before it
        raise AgmError(f"{path}: {error}") from None


names = st.text(st.sampled_from("ab./\\:\0\né \u202e"), max_size=9) | st.sampled_from(
    ["n" * 300, "../../x", "/x", "C:x"]
)
contents = st.binary(max_size=600)
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
sizes = st.none() | st.sampled_from([0, 1, 600, 10**6, 2**33 + 1, 2**40])
tar_members = st.lists(st.tuples(names.map(lambda n: n.replace("\0", "")), kinds, contents, sizes), max_size=5)
zip_members = st.lists(st.tuples(names, contents), max_size=5)
made_archives: Named = st.sampled_from(sorted(samples.TARS)).flatmap(
    lambda kind: st.tuples(st.just(kind), tar_members.map(lambda members: samples.tar(members, kind)))
) | st.tuples(st.just(".zip"), zip_members.map(samples.zipped))


def use_archive(folder: Path, value: tuple[str, bytes]) -> None:
    ending, content = value
    (folder / "scratch").mkdir()
    for member in Source(official.write(folder / f"x{ending}", content), folder / "scratch").members:
        assert isinstance(member.path.read_bytes(), bytes)


def use_patches(folder: Path, value: tuple[str, bytes]) -> None:
    name, content = value
    assert official.planned(geo.plan, official.write(folder / name, content).parent)[1]


@st.composite
def face_sources(draw: st.DrawFn) -> dict[str, bytes]:
    """A whole source: each file may be damaged."""
    sound = {f"{n % 3}/{n:05d}.jpg": official.encoded(official.photograph(n), quality=90) for n in range(4)}
    name = draw(st.sampled_from(sorted(sound)))
    return sound | {name: draw(damaged([sound[name]]))}


def use_source(folder: Path, value: dict[str, bytes]) -> None:
    """As `agm data prepare` does it, with an archive."""
    path = official.write(folder / "x.zip", samples.zipped(list(value.items())))
    prepare("faces", path, folder / "out")


cells = st.sampled_from(["0", "1", "-1", "", "a.jpg", "../x", "f" * 64, '"', "\0", "é", "\n", ",", "9" * 5000])
rows = st.lists(st.lists(cells | st.text(max_size=8), max_size=12).map(",".join), max_size=5).map("\n".join)
manifests = rows.map(lambda text: f"{','.join(prepared.COLUMNS)}\n{text}".encode("utf-8", "replace"))
prepared_sets = st.one_of(
    st.tuples(st.just("manifest.csv"), manifests | spoilt([samples.prepared()["manifest.csv"]])),
    st.tuples(st.just("images.tar"), spoilt([samples.prepared()["images.tar"]])),
    st.tuples(st.just("card.yml"), as_yaml(samples.CARD)),
)


def use_prepared(folder: Path, value: tuple[str, bytes]) -> None:
    name, content = value
    for file, whole in (samples.prepared() | {name: content}).items():
        official.write(folder / file, whole)
    prepared.load(folder)


outputs = st.sampled_from(sorted(image_files.FORMATS))
TARGETS = {
    "images": Target(spoilt_files(samples.pictures()), use_image),
    "pictures": Target(st.tuples(spoilt_files(samples.pictures()), outputs), use_picture),
    "archives": Target(spoilt_files(samples.archives()) | made_archives, use_archive),
    "patches (.csv)": Target(spoilt_files(samples.patches()), use_patches),
    "sources": Target(face_sources(), use_source),
    "prepared sets": Target(prepared_sets, use_prepared),
}
