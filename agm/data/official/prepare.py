"""An official source -> a prepared set: all or nothing, and the same bytes every time."""

from __future__ import annotations

import contextlib
import csv
import filecmp
import hashlib
import importlib
import io
import logging
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from tqdm import tqdm

from agm import files
from agm.data import prepared
from agm.data.images import Pixels, read_image
from agm.data.official import SETS, Cut, Plan
from agm.data.official.archives import Source
from agm.errors import AgmError, unknown

logger = logging.getLogger(__name__)

VERSION = 1
"""To be raised with every change of what a source gives; the card names it."""

WEBP: dict[str, Any] = {"lossless": True, "quality": 80, "method": 2, "exact": True}


@dataclass(frozen=True)
class Prepared:
    """The outcome. `card`: all its fields; `new`: False where the folder held the same set already."""

    folder: Path
    card: dict[str, Any]
    new: bool


def prepare(name: str, path: Path, out: Path, force: bool = False) -> Prepared:
    """Read an official source of the data set `name` and write a prepared set to the folder `out`.

    Raises AgmError, and leaves nothing behind, if the source is not what is expected or the disk is full; also if `out`
    holds something else, unless `force` says to replace a prepared set.
    """
    if name not in SETS:
        raise unknown("data set", name, SETS)
    plan: Plan = importlib.import_module(f"agm.data.official.{name}").plan(Source(path))
    target = out.expanduser().resolve()  # where a link leads, so that the last rename stays on one disk
    if not target.name:
        raise AgmError(f"{out}: not a place for a data set; name a new folder with --out")
    partial, lock = target.with_name(f".{target.name}.partial"), target.with_name(f".{target.name}.lock")
    try:
        with files.locked(lock, 0), _one_line(out):
            _restore(partial, target)
            _may_replace(target, plan, force)
            for warning in plan.warnings:
                logger.warning("%s: %s", path, warning)
            try:
                card = _assemble(plan, _made(plan), partial / "set")
                new = _put(partial, target, force)
            finally:
                _restore(partial, target)
                shutil.rmtree(partial, ignore_errors=True)
                lock.unlink(missing_ok=True)
    except TimeoutError:
        raise AgmError(f"{out}: another process is preparing this set; wait until it has finished") from None
    return Prepared(out, card, new)


def _made(plan: Plan) -> dict[int, tuple[dict[str, Any], bytes]]:
    """Every image's columns of the manifest and its content, by number."""
    numbers = range(len(plan.rows))
    what = f"preparing {plan.about.name}"
    bar = tqdm(plan.images(numbers), total=len(numbers), desc=what, unit="image", disable=None, leave=False)
    return {number: (_columns(cut), _webp(cut.pixels)) for number, cut in bar}


def _columns(cut: Cut) -> dict[str, Any]:
    box = dict(zip(("x1", "y1", "x2", "y2"), cut.box or ("",) * 4, strict=True))
    return {"width": cut.width, "height": cut.height, **box, "sha256": files.sha256(cut.pixels.tobytes())}


def _webp(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", **WEBP)
    return buffer.getvalue()


def _assemble(plan: Plan, made: dict[int, tuple[dict[str, Any], bytes]], folder: Path) -> dict[str, Any]:
    """Write the three files; every image is decoded once more and compared. Returns the card."""
    shutil.rmtree(folder, ignore_errors=True)  # a killed call may have left some of it
    folder.mkdir(parents=True)
    digest, odd = hashlib.sha256(), 0
    with (
        tarfile.open(folder / prepared.IMAGES, "w", format=tarfile.USTAR_FORMAT) as archive,
        (folder / prepared.MANIFEST).open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, prepared.COLUMNS, lineterminator="\n")
        writer.writeheader()
        bar = tqdm(plan.rows, desc=f"writing {plan.about.name}", unit="image", disable=None, leave=False)
        for number, row in enumerate(bar):
            columns, content = made[number]
            pixels = np.asarray(read_image(io.BytesIO(content), f"image {number}")).tobytes()
            if files.sha256(pixels) != columns["sha256"]:
                raise AgmError(f"{folder.parent}: image {number} is not what was written; run again")
            digest.update(pixels)
            odd += plan.frame is not None and (columns["width"], columns["height"]) != plan.frame
            member = tarfile.TarInfo(f"{number:05d}.webp")  # time 0, owner 0, mode 644
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            writer.writerow({"index": number, "source": row.source, "group": row.group, **columns})
    card = _card(plan, digest.hexdigest(), odd)
    card["manifest"] = files.sha256((folder / prepared.MANIFEST).read_bytes())
    card = files.seal(card)
    text = yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100)
    (folder / prepared.CARD).write_text(text, encoding="utf-8")
    for name in (prepared.IMAGES, prepared.MANIFEST, prepared.CARD):
        with (folder / name).open("rb") as written:
            os.fsync(written.fileno())
    return card


def _card(plan: Plan, fingerprint: str, odd: int) -> dict[str, Any]:
    about = plan.about
    warnings = list(plan.warnings)
    if plan.frame is not None and odd:
        warnings.append(f"{odd:,} images are not {plan.frame[0]} x {plan.frame[1]} pixels, as the official ones are")
        logger.warning(warnings[-1])
    return {
        "name": about.name,
        "title": about.title,
        "substitute": about.substitute,
        "layout": plan.layout,
        "licence": about.licence,
        "citation": about.citation,
        "preprocessing": about.preprocessing,
        "version": VERSION,
        "images": len(plan.rows),
        "counts": plan.counts,
        "groups": about.groups,
        "groups_leak": about.groups_leak,
        "fingerprint": fingerprint,
        "warnings": warnings,
    }


def _may_replace(out: Path, plan: Plan, force: bool) -> None:
    """Say at once, not after minutes, where `out` is in the way."""
    if out.exists() and not out.is_dir():
        raise AgmError(f"{out}: not a folder; name another one with --out")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not prepared.is_prepared(out):
        raise AgmError(f"{out}: holds other files, but no prepared set; name an empty or a new folder with --out")
    if force:
        return
    try:
        entries = prepared.read_manifest(out / prepared.MANIFEST)
    except AgmError:
        raise _other(out) from None
    if [(entry.source, entry.group) for entry in entries] != [(row.source, row.group) for row in plan.rows]:
        raise _other(out)


def _other(out: Path) -> AgmError:
    return AgmError(f"{out}: holds another prepared set; name another folder with --out, or replace it with --force")


def _put(partial: Path, out: Path, force: bool) -> bool:
    """Move the new set to its place, by one rename; False if the same set is there already."""
    new, old = partial / "set", partial / "old"
    if out.is_dir() and any(out.iterdir()):
        names = (prepared.IMAGES, prepared.MANIFEST, prepared.CARD)
        if filecmp.cmpfiles(out, new, names, shallow=False)[1:] == ([], []):
            return False
        if not force:
            raise _other(out)
        files.copy_others(out, new, names)
        out.rename(old)
    new.rename(out)
    return True


def _restore(partial: Path, out: Path) -> None:
    """Undo a replacement that was killed, or failed, between its two renames."""
    if (partial / "old").is_dir() and not out.exists():
        (partial / "old").rename(out)


@contextlib.contextmanager
def _one_line(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise files.unwritable(out, error) from None
