"""Stanford Cars, in both forms in which it was published: halves with a devkit, or one folder with one annotation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from agm.data.images import resize
from agm.data.official import SIZE, About, Box, Cut, Plan, Row, decode, matlab
from agm.data.official.archives import Member, Source, distinct
from agm.errors import AgmError

BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
HALVES = ("train", "test")
DEVKIT = {"train": ("cars_train_annos.mat",), "test": ("cars_test_annos_withlabels.mat", "cars_test_annos.mat")}
"""Annotation files of each half, the better ones first."""
ALL = "cars_annos.mat"
IMS = "car_ims"
OFFICIAL = {"train": 8_144, "test": 8_041}
UNKNOWN = "unknown"

ABOUT = About(
    name="cars",
    title="Stanford Cars",
    licence="none stated; the photographs belong to their owners; research use only, do not publish the images",
    citation=(
        'J. Krause, M. Stark, J. Deng, L. Fei-Fei, "3D Object Representations for Fine-Grained Categorization", '
        "4th IEEE Workshop on 3D Representation and Recognition (3dRR-13), 2013"
    ),
    preprocessing="crop to the annotated box, clipped to the image; RGB; Pillow bicubic to 64 x 64, aspect not kept",
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
    halves = {half: _images_below(source, f"cars_{half}") for half in HALVES}
    whole = _images_below(source, IMS)
    found: dict[str, list[Annotation]] = {half: [] for half in HALVES}
    if any(halves.values()):
        there = [half for half in HALVES if halves[half]]
        kits = {half: _annotations(source, DEVKIT[half], f"cars_{half}", halves[half], half) for half in there}
        found |= {half: rows for half, (_, rows) in kits.items()}
        layout = "; ".join(f"cars_{half} with {name}" for half, (name, _) in kits.items())
    elif whole:
        layout = f"{IMS} with {ALL}"
        _, rows = _annotations(source, (ALL,), IMS, whole, None)
        found |= {half: [row for row in rows if row.half == half] for half in HALVES}
        halves = dict.fromkeys(HALVES, whole)
    else:
        raise AgmError(
            f"{source.path}: no Stanford Cars; looked in it and below it for folders cars_train and cars_test "
            f"with JPEGs beside {DEVKIT['train'][0]}, and for {IMS} beside {ALL}"
        )
    rows = [row for half in HALVES for row in found[half]]
    return Plan(
        ABOUT,
        layout,
        tuple(Row(row.file, row.group) for row in rows),
        {half: len(found[half]) for half in HALVES} | {"classes": len({row.group for row in rows} - {UNKNOWN})},
        (_image(source, halves[row.half][row.file], row.box) for row in rows),
        tuple(_warnings(found)),
    )


def _warnings(found: dict[str, list[Annotation]]) -> Iterator[str]:
    for half, rows in found.items():
        if not rows:
            yield f"the {half} half is missing: {OFFICIAL[half]:,} images of {sum(OFFICIAL.values()):,}"
        elif len(rows) != OFFICIAL[half]:
            yield f"{len(rows):,} images in the {half} half, the official one has {OFFICIAL[half]:,}"
    if unlabelled := sum(row.group == UNKNOWN for rows in found.values() for row in rows):
        yield f"the class of {unlabelled:,} images is unknown: {DEVKIT['test'][0]} was not found"


def cut(image: Image.Image, box: Box, where: str) -> Cut:
    """The part of the image inside the box. Raises AgmError if there is none."""
    x1, y1, x2, y2 = max(box[0], 0), max(box[1], 0), min(box[2], image.width), min(box[3], image.height)
    if x1 >= x2 or y1 >= y2:
        size = f"{image.width} x {image.height}"
        raise AgmError(
            f"{where}: the box {', '.join(map(str, box))} is empty or lies outside the image ({size} pixels)"
        )
    return Cut(resize(np.asarray(image.crop((x1, y1, x2, y2))), SIZE), image.width, image.height, (x1, y1, x2, y2))


def _images_below(source: Source, folder: str) -> dict[str, Member]:
    """JPEGs anywhere below folders of this name, by file name."""
    jpegs = (member for member in source.members if member.file.lower().endswith((".jpg", ".jpeg")))
    return distinct((member for member in jpegs if folder in member.folders), lambda member: member.file)


def _annotations(
    source: Source, names: Sequence[str], folder: str, images: dict[str, Member], half: str | None
) -> tuple[str, list[Annotation]]:
    """Name and rows of the annotation file that fits the images best; files with labels are preferred.

    `half`: of which the images are, None for both. A half without any image is left out.
    """
    for name in names:
        found = distinct((member for member in source.members if member.file == name), lambda member: member.name)
        tables = [_read(member, source.scratch.path, half) for member in found.values()]
        if tables:
            best = min(tables, key=lambda rows: len({row.file for row in rows} ^ set(images)))
            there = {row.half for row in best if row.file in images} if half is None else {half}
            rows = [row for row in best if row.half in there]
            _match(rows, images, f"{source.path}: {folder}", name)
            return name, rows
    missing = " or ".join(names)
    raise AgmError(f"{source.path}: {len(images):,} images in {folder}, but no {missing}; get the annotations, too")


def _read(member: Member, scratch: Path, half: str | None) -> list[Annotation]:
    """The rows of one annotation file. `half` is None for the file of both, which says of each row where it belongs."""
    name = "relative_im_path" if half is None else "fname"
    optional = ("class",) if half is None or member.file != DEVKIT["test"][1] else ()
    fields = (*BOX, *optional, name, *(("test",) if half is None else ()))
    where = str(member)
    rows = matlab.read_struct(member.path, "annotations", scratch, where)
    if not rows:
        raise AgmError(f"{where}: lists no image")
    missing = [field for field in fields if field not in rows[0]]
    if missing:
        raise AgmError(f"{where}: annotations has no field {', '.join(missing)}; this is another annotation file")
    rows = [{field: row[field] for field in fields} for row in rows]
    return [_annotation(row, name, half, f"{where}: annotations({number})") for number, row in enumerate(rows, 1)]


def _annotation(row: dict[str, Any], name: str, half: str | None, where: str) -> Annotation:
    numbers = {field: value for field, value in row.items() if field != name}
    if not isinstance(row[name], str) or not all(isinstance(value, int) for value in numbers.values()):
        raise AgmError(f"{where}: expected whole numbers and a file name, it has {row}")
    x1, y1, x2, y2 = (row[field] for field in BOX)
    test = half == "test" if half else row["test"]
    file = PurePosixPath(row[name]).name
    return Annotation(file, (x1, y1, x2, y2), str(row.get("class", UNKNOWN)), "test" if test else "train")


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


def _image(source: Source, member: Member, box: Box) -> Cut:
    # As stored, not turned upright: the boxes were drawn by MATLAB, which ignores EXIF.
    return cut(decode(source.read(member), str(member), upright=False), box, str(member))
