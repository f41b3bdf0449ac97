"""Photographs of faces: CyberExtruder's Ultimate Face Matching Data Set, or Labeled Faces in the Wild in its place."""

from __future__ import annotations

import dataclasses
import re
from os.path import commonpath

from agm.data.images import centre_square, read_image, square
from agm.data.official import SIZE, About, Cut, Plan
from agm.data.official.archives import Member, Source, distinct
from agm.errors import AgmError

ABOUT = About(
    name="faces",
    title="CyberExtruder Ultimate Face Matching Data Set",
    groups="person",
    groups_leak=True,
)
LFW = dataclasses.replace(
    ABOUT,
    title="Labeled Faces in the Wild",
    substitute="Labeled Faces in the Wild",
)
OFFICIAL = {False: 10_205, True: 13_233}
"""Images in the official set: of CyberExtruder's, of LFW."""

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def plan(source: Source) -> Plan:
    """Every image in the source, in the order of its path. LFW is recognised by its file names."""
    images = distinct(
        (member for member in source.members if member.file.lower().endswith(ENDINGS)), lambda member: member.name
    )
    if not images:
        raise AgmError(f"{source.path}: no faces; looked for images ({', '.join(ENDINGS)}) in it and below it")
    common = commonpath(["/".join(member.folders) for member in images.values()])
    members = {name.removeprefix(f"{common}/"): images[name] for name in sorted(images)}
    strays = [member for member in images.values() if not _lfw_person(member)]
    lfw = 2 * len(strays) < len(images)
    if lfw and strays:
        raise AgmError(f"{strays[0]}: not named as the other images, <Person>/<Person>_0001.jpg; leave it out")
    warnings = []
    if len(images) != OFFICIAL[lfw]:
        warnings.append(f"{len(images):,} images at hand, the official set has {OFFICIAL[lfw]:,}")
    about = LFW if lfw else ABOUT
    folders = [name.rpartition("/")[0] for name in members]
    # The first folder: a person whose images lie in several folders of one folder stays on one side.
    people = [folder.partition("/")[0] or "." for folder in folders]
    groups = [_lfw_person(member) for member in members.values()] if lfw else people
    if not lfw and len(set(people)) < 3:
        groups, about = list(members), dataclasses.replace(about, groups="image")
        warnings.append("fewer than three folders, so who is who is unknown: one person may be on two sides of a split")
    return Plan(
        about,
        "<Person>/<Person>_0001.jpg" if lfw else "images in folders" if any(folders) else "images in one folder",
        len(members),
        {"images": len(images), about.groups + "s": len(set(groups))},
        (_cut(members[name], name, group) for name, group in zip(members, groups, strict=True)),
        tuple(warnings),
    )


def _lfw_person(member: Member) -> str:
    """The person in a path of LFW's layout, else nothing."""
    person = member.folders[-1] if member.folders else ""
    return person if person and re.fullmatch(re.escape(person) + r"_\d{4}\.jpg", member.file) else ""


def _cut(member: Member, name: str, group: str) -> Cut:
    """The whole frame of a square image, the centre square of another one."""
    image = read_image(member.path, str(member))
    box = None if image.width == image.height else centre_square(image)
    return Cut(name, group, square(image, SIZE), image.width, image.height, box)
