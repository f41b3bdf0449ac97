"""Stanford Cars, in both forms in which it was published: halves with a devkit, or one folder with one annotation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from agm.data.images import read_image, resize
from agm.data.official import SIZE, About, Box, Cut, Plan, matlab
from agm.data.official.archives import Member, Source, distinct
from agm.errors import AgmError

BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
WHOLE, WHOLE_FILE, UNLABELLED = "car_ims", "cars_annos.mat", "cars_test_annos.mat"
FOLDERS = {
    "cars_train": ("cars_train_annos.mat",),
    "cars_test": ("cars_test_annos_withlabels.mat", UNLABELLED),
    WHOLE: (WHOLE_FILE,),
}
"""Folders of images, and their annotation files, the better ones first."""
OFFICIAL = {"train": 8_144, "test": 8_041}
UNKNOWN = "unknown"

ABOUT = About(
    name="cars",
    title="Stanford Cars",
    groups="class",
    groups_leak=False,
)


@dataclass(frozen=True)
class Annotation:
    """A row of an annotation file: the image's file name, the box in pixels, the class or "unknown", the half."""

    file: str
    box: Box
    group: str
    half: str


def plan(source: Source) -> Plan:
    """Match images and annotations. A half without any image is left out with a warning.

    Raises AgmError where an image has no annotation, or an annotated one is missing from a half that is there.
    """
    there = _images_below(source, ("cars_train", "cars_test")) or _images_below(source, (WHOLE,))
    if not there:
        raise AgmError(
            f"{source.path}: no Stanford Cars; looked in it and below it for folders cars_train and cars_test with "
            f"JPEGs beside {FOLDERS['cars_train'][0]}, and for {WHOLE} beside {WHOLE_FILE}"
        )
    layout, found = [], list[tuple[Annotation, Member]]()
    for folder, images in there.items():
        name, rows = _annotations(source, folder, images)
        layout.append(f"{folder} with {name}")
        found += [(row, images[row.file]) for row in rows]
    found.sort(key=lambda pair: pair[0].half == "test")  # the training half first
    rows = [row for row, _ in found]
    counts = {half: sum(row.half == half for row in rows) for half in OFFICIAL}
    return Plan(
        ABOUT,
        "; ".join(layout),
        len(rows),
        counts | {"classes": len({row.group for row in rows} - {UNKNOWN})},
        (cut(row, member) for row, member in found),
        tuple(_warnings(counts, sum(row.group == UNKNOWN for row in rows))),
    )


def _warnings(counts: dict[str, int], unlabelled: int) -> Iterator[str]:
    for half, count in counts.items():
        if not count:
            yield f"the {half} half is missing: {OFFICIAL[half]:,} images of {sum(OFFICIAL.values()):,}"
        elif count != OFFICIAL[half]:
            yield f"{count:,} images in the {half} half, the official one has {OFFICIAL[half]:,}"
    if unlabelled:
        yield f"the class of {unlabelled:,} images is unknown: {FOLDERS['cars_test'][0]} was not found"


def cut(row: Annotation, member: Member) -> Cut:
    """The part of the image inside the box. Raises AgmError if there is none."""
    # As stored, not turned upright: the boxes were drawn by MATLAB, which ignores EXIF.
    image = read_image(member.path, str(member), upright=False)
    x1, y1, x2, y2 = row.box
    box = max(x1, 0), max(y1, 0), min(x2, image.width), min(y2, image.height)
    if box[0] >= box[2] or box[1] >= box[3]:
        size = f"{image.width} x {image.height} pixels"
        raise AgmError(f"{member}: the box {x1}, {y1}, {x2}, {y2} is empty or lies outside the image ({size})")
    pixels = resize(np.asarray(image.crop(box)), SIZE)
    return Cut(row.file, row.group, pixels, image.width, image.height, box)


def _images_below(source: Source, folders: Sequence[str]) -> dict[str, dict[str, Member]]:
    """Folder -> file name -> JPEG anywhere below a folder of this name. Folders without any are left out."""
    jpegs = [member for member in source.members if member.file.lower().endswith((".jpg", ".jpeg"))]
    below = {folder: [member for member in jpegs if folder in member.folders] for folder in folders}
    return {folder: distinct(found, lambda member: member.file) for folder, found in below.items() if found}


def _annotations(source: Source, folder: str, images: dict[str, Member]) -> tuple[str, list[Annotation]]:
    """Name and rows of the annotation file that fits the images best; files with labels are preferred.

    A half without any image is left out.
    """
    names = FOLDERS[folder]
    for name in names:
        found = distinct((member for member in source.members if member.file == name), lambda member: member.name)
        tables = [_read(member, source.scratch) for member in found.values()]
        if tables:
            best = min(tables, key=lambda rows: len({row.file for row in rows} ^ set(images)))
            there = {row.half for row in best if row.file in images}
            rows = [row for row in best if row.half in there]
            _match(rows, images, f"{source.path}: {folder}", name)
            return name, rows
    missing = " or ".join(names)
    raise AgmError(f"{source.path}: {len(images):,} images in {folder}, but no {missing}; get the annotations, too")


def _read(member: Member, scratch: Path) -> list[Annotation]:
    """The rows of one annotation file; that of both halves says of each row where it belongs."""
    whole = member.file == WHOLE_FILE
    fields = [*BOX, *(("relative_im_path", "test") if whole else ("fname",))]
    fields += [] if member.file == UNLABELLED else ["class"]
    rows = matlab.read_struct(member, "annotations", scratch)
    missing = [field for field in fields if not rows or field not in rows[0]]
    if missing:
        what = f"no struct array annotations with the fields {', '.join(missing)}"
        raise AgmError(f"{member}: {what}; this is another file than the official annotations")
    half = "" if whole else "train" if member.file in FOLDERS["cars_train"] else "test"
    return [_annotation(row, half, f"{member}: annotations({number})") for number, row in enumerate(rows, 1)]


def _annotation(row: dict[str, Any], half: str, where: str) -> Annotation:
    """`half`: where the row belongs; empty if the row says it."""
    name, box = row["fname" if half else "relative_im_path"], [row[field] for field in BOX]
    numbers = (*box, row.get("class", 0), row.get("test", 0))
    if not isinstance(name, str) or not all(isinstance(number, int) for number in numbers):
        raise AgmError(f"{where}: expected whole numbers and a file name, it has {row}")
    x1, y1, x2, y2 = box
    half = half or ("test" if row["test"] else "train")
    return Annotation(PurePosixPath(name).name, (x1, y1, x2, y2), str(row.get("class", UNKNOWN)), half)


def _match(rows: Sequence[Annotation], images: dict[str, Member], where: str, name: str) -> None:
    """Raises AgmError unless every image has one row and every row an image."""
    times = Counter(row.file for row in rows)
    problems = {
        "listed twice in": [file for file, count in times.items() if count > 1],
        "missing that are listed in": [file for file in times if file not in images],
        "not listed in": [file for file in images if file not in times],
    }
    for problem, files in problems.items():
        if files:
            raise AgmError(f"{where}: {len(files):,} images are {problem} {name}, first {min(files)}; get them again")
