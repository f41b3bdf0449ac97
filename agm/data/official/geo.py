"""SAT-4: patches of 28 x 28 pixels, four to an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from agm.data.images import Pixels, resize
from agm.data.official import SIZE, About, Cut, Plan, Row
from agm.data.official.archives import Member, Source, distinct
from agm.data.official.patches import HALVES, SIDE, Csv, Mat, Patches, Rows
from agm.errors import AgmError

MAT = "sat-4-full.mat"
CSV = {half: f"X_{half}_sat4.csv" for half in HALVES}
DRAWN = 64_000
"""Patches that the paper draws."""
OFFICIAL = 500_000

ABOUT = About(
    name="geo",
    title="SAT-4, four patches to an image",
    licence="none stated for SAT-4; the NAIP imagery it is cut from is a product of the US government",
    citation=(
        "S. Basu, S. Ganguly, S. Mukhopadhyay, R. DiBiano, M. Karki, R. Nemani, "
        '"DeepSat: A Learning Framework for Satellite Imagery", ACM SIGSPATIAL, 2015'
    ),
    preprocessing=(
        f"infrared dropped; {DRAWN:,} patches drawn by numpy.random.default_rng(0).permutation over train, then test; "
        "each four joined (top left, top right, bottom left, bottom right); Pillow bicubic, 56 -> 64 pixels"
    ),
    groups="image",
    groups_leak=True,
)


def plan(source: Source) -> Plan:
    """Look for the .mat file, else for the CSV files, and draw the patches."""
    layout, patches = _patches(source)
    counts = {half: patches.counts.get(half, 0) for half in HALVES}
    total = sum(counts.values())
    if total < 4:
        raise AgmError(f"{source.path}: {total} patches, an image takes four")
    drawn = np.random.default_rng(0).permutation(total)[:DRAWN]
    grids = drawn[: len(drawn) // 4 * 4].reshape(-1, 4)

    def source_of(patch: int) -> str:
        return f"train_x[{patch}]" if patch < counts["train"] else f"test_x[{patch - counts['train']}]"

    rows = (Row(name, name) for name in ("+".join(map(source_of, grid)) for grid in grids.tolist()))
    warnings = [f"the {half} half is missing" for half in HALVES if not counts[half]]
    if total != OFFICIAL:
        warnings.append(f"{total:,} patches at hand, the official set has {OFFICIAL:,}")
    if total < DRAWN:
        warnings.append(f"{len(grids):,} images instead of {DRAWN // 4:,}, and {total % 4} patches left over")
    return Plan(
        ABOUT,
        layout,
        tuple(rows),
        {f"{half} patches": count for half, count in counts.items()},
        lambda numbers: _images(patches, grids, numbers),
        tuple(warnings),
    )


def _patches(source: Source) -> tuple[str, Patches]:
    mats = _find(source, MAT)
    if mats:
        return MAT, Mat(source, mats)
    files = {half: found for half in HALVES if (found := _find(source, CSV[half]))}
    if not files:
        raise AgmError(f"{source.path}: no SAT-4; looked for {MAT}, {' and '.join(CSV.values())} in it and below it")
    return " and ".join(CSV[half] for half in files), Csv(files)


def _find(source: Source, name: str) -> Member | None:
    names = (name.lower(), f"{name.lower()}.gz")
    found = (member for member in source.members if member.file.lower() in names[: 2 if name in CSV.values() else 1])
    return distinct(found, lambda member: name).get(name)


def _images(patches: Patches, grids: Rows, numbers: Sequence[int]) -> Iterator[tuple[int, Cut]]:
    """The images with these numbers. Their patches are gathered in the order of the file, as that is fastest."""
    wanted = np.sort(grids[numbers].ravel())
    drawn = np.empty((len(wanted), SIDE, SIDE, 3), dtype=np.uint8)
    offset = done = 0
    with tqdm(total=len(wanted), desc="reading patches", unit="patch", disable=None, leave=False) as bar:
        for half in HALVES:
            count = patches.counts.get(half, 0)
            rows = wanted[(wanted >= offset) & (wanted < offset + count)] - offset
            for patch in patches.read(half, rows) if len(rows) else ():
                drawn[done] = patch
                done += 1
                bar.update()
            offset += count
    for number in numbers:
        top_left, top_right, bottom_left, bottom_right = drawn[np.searchsorted(wanted, grids[number])]
        yield number, _cut(top_left, top_right, bottom_left, bottom_right)


def _cut(top_left: Pixels, top_right: Pixels, bottom_left: Pixels, bottom_right: Pixels) -> Cut:
    top, bottom = np.hstack([top_left, top_right]), np.hstack([bottom_left, bottom_right])
    grid = np.ascontiguousarray(np.vstack([top, bottom]))
    return Cut(resize(grid, SIZE), 2 * SIDE, 2 * SIDE)
