"""An official source -> a prepared set: all or nothing, and the same bytes every time."""

from __future__ import annotations

import hashlib
import importlib
import io
import logging
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from PIL import Image
from tqdm import tqdm

from agm import files
from agm.data import prepared
from agm.data.images import Pixels
from agm.data.official import SETS, Plan
from agm.data.official.archives import Source
from agm.errors import unknown

logger = logging.getLogger(__name__)

VERSION = 1
"""To be raised with every change of what a source gives; the card names it."""

WEBP: dict[str, Any] = {"lossless": True, "quality": 80, "method": 2, "exact": True}


def prepare(name: str, path: Path, out: Path, force: bool = False) -> tuple[dict[str, Any], bool]:
    """Read an official source of the data set `name` and write a prepared set to the folder `out`.

    Returns the card, and False where the folder held the same set already. Raises AgmError, and leaves nothing behind,
    if the source is not what is expected or the disk is full; also if `out` holds something else, unless `force` says
    to replace a prepared set.
    """
    if name not in SETS:
        raise unknown("data set", name, SETS)
    with tempfile.TemporaryDirectory(prefix="agm-") as scratch:
        plan: Plan = importlib.import_module(f"agm.data.official.{name}").plan(Source(path, Path(scratch)))
        for warning in plan.warnings:
            logger.warning("%s: %s", path, warning)
        marks = (prepared.IMAGES, prepared.MANIFEST)
        new = files.replace_folder(out, lambda folder: _write(plan, folder), "prepared set", marks, force)
    return files.read_yaml(out.expanduser() / prepared.CARD), new


def _write(plan: Plan, folder: Path) -> None:
    """Write the three files."""
    about = {"layout": plan.layout, "version": VERSION, "images": plan.total, "counts": plan.counts}
    sums = {"fingerprint": _write_images(plan, folder)}
    sums["manifest"] = files.sha256((folder / prepared.MANIFEST).read_bytes())
    card = files.seal(vars(plan.about) | about | {"warnings": list(plan.warnings)} | sums)
    text = yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100)
    (folder / prepared.CARD).write_text(text, encoding="utf-8")


def _write_images(plan: Plan, folder: Path) -> str:
    """Write the archive and the manifest -> the sha256 over all RGB bytes."""
    digest, rows = hashlib.sha256(), []
    with tarfile.open(folder / prepared.IMAGES, "w", format=tarfile.USTAR_FORMAT) as archive:
        what = f"preparing {plan.about.name}"
        for number, cut in enumerate(tqdm(plan.images, what, plan.total, unit="image", disable=None, leave=False)):
            content = _webp(cut.pixels)
            digest.update(cut.pixels.tobytes())
            member = tarfile.TarInfo(f"{number:05d}.webp")  # time 0, owner 0, mode 644
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            box = cut.box or ("",) * 4
            sha256 = files.sha256(cut.pixels.tobytes())
            rows.append((number, cut.source, cut.width, cut.height, *box, cut.group, sha256))
    manifest = pd.DataFrame(rows, columns=list(prepared.COLUMNS))
    manifest.to_csv(folder / prepared.MANIFEST, index=False, lineterminator="\n")
    return digest.hexdigest()


def _webp(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", **WEBP)
    return buffer.getvalue()
