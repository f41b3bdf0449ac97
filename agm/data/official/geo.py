"""SAT-4: patches of 28 x 28 pixels, four to an image, from MATLAB files of two versions or CSV files."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence

import numpy as np

from agm.data.images import Pixels, resize
from agm.data.official import SIZE, About, Cut, Plan, matlab
from agm.data.official.archives import Member, Source, distinct
from agm.errors import AgmError

SIDE, CHANNELS = 28, 4
COLUMNS = SIDE * SIDE * CHANNELS
HALVES = ("train", "test")
MAT = "sat-4-full.mat"
CSV = {half: f"X_{half}_sat4.csv" for half in HALVES}
DRAWN = 64_000
"""Patches that the paper draws."""
OFFICIAL = 500_000

ABOUT = About(
    name="geo",
    title="SAT-4, four patches to an image",
    groups="image",
    groups_leak=True,
)

Patches = dict[str, Pixels]
"""Half -> (28, 28, 4, N): the axes of train_x and test_x in the MATLAB file."""


def plan(source: Source) -> Plan:
    """Read the .mat file, else the CSV files, and draw the patches."""
    layout, patches = _patches(source)
    counts = {half: patches[half].shape[3] if half in patches else 0 for half in HALVES}
    total = sum(counts.values())
    if total < 4:
        raise AgmError(f"{source.path}: {total} patches, an image takes four")
    drawn = np.random.default_rng(0).permutation(total)[:DRAWN]
    grids = drawn[: len(drawn) // 4 * 4].reshape(-1, 4).tolist()
    places = [[("train", n) if n < counts["train"] else ("test", n - counts["train"]) for n in grid] for grid in grids]
    notes = [f"the {half} half is missing" for half in HALVES if not counts[half]]
    if total != OFFICIAL:
        notes.append(f"{total:,} patches at hand, the official set has {OFFICIAL:,}")
    if total < DRAWN:
        notes.append(f"{len(grids):,} images instead of {DRAWN // 4:,}, and {total % 4} patches left over")
    return Plan(
        ABOUT,
        layout,
        len(places),
        {f"{half} patches": count for half, count in counts.items()},
        (_cut(patches, grid) for grid in places),
        tuple(notes),
    )


def _cut(patches: Patches, places: Sequence[tuple[str, int]]) -> Cut:
    """Four patches, each a half and its number there, as one image."""
    one, two, three, four = (patches[half][:, :, :3, row] for half, row in places)
    name = "+".join(f"{half}_x[{row}]" for half, row in places)
    grid = np.vstack([np.hstack([one, two]), np.hstack([three, four])])
    return Cut(name, name, resize(np.ascontiguousarray(grid), SIZE), 2 * SIDE, 2 * SIDE)


def _patches(source: Source) -> tuple[str, Patches]:
    """The layout, and the patches of each half that is there."""
    if mat := _find(source, MAT):
        return MAT, _read_mat(source, mat)
    found = {half: member for half in HALVES if (member := _find(source, CSV[half], f"{CSV[half]}.gz"))}
    if not found:
        raise AgmError(f"{source.path}: no SAT-4; looked for {MAT}, {' and '.join(CSV.values())} in it and below it")
    patches = {half: _read_csv(member) for half, member in found.items()}
    return " and ".join(CSV[half] for half in found), patches


def _find(source: Source, *names: str) -> Member | None:
    found = (member for member in source.members if member.file.lower() in map(str.lower, names))
    return distinct(found, lambda member: names[0]).get(names[0])


def _read_mat(source: Source, member: Member) -> Patches:
    arrays = matlab.read_arrays(member, [f"{half}_x" for half in HALVES], source.scratch)
    if not arrays:
        raise AgmError(f"{member}: no patches; SAT-4 has them in the variables train_x and test_x")
    for name, array in arrays.items():
        if array.ndim != 4 or array.shape[:3] != (SIDE, SIDE, CHANNELS) or array.dtype != np.uint8:
            kind = f"{array.dtype} {' x '.join(map(str, array.shape))}"
            raise AgmError(f"{member}: {name} is {kind}, expected uint8 {SIDE} x {SIDE} x {CHANNELS} x N")
    return {name.removesuffix("_x"): array for name, array in arrays.items()}


def _read_csv(member: Member) -> Pixels:
    """No header, and 3,136 values a line in the order rows, columns, channels."""
    try:
        with warnings.catch_warnings(action="error"):  # of an empty file, and by older NumPy of 1.5
            table = np.loadtxt(member.path, np.uint8, comments=None, delimiter=",", encoding="utf-8-sig", ndmin=2)
    except (ValueError, OSError, EOFError, zlib.error, Warning) as error:
        raise AgmError(f"{member}: damaged or cut short, or no patches of numbers 0 to 255 ({error})") from None
    if table.shape[1] != COLUMNS:
        shape = f"{SIDE} x {SIDE} pixels, {CHANNELS} channels"
        raise AgmError(f"{member}: {table.shape[1]:,} columns, expected {COLUMNS:,} ({shape})")
    return table.reshape(-1, SIDE, SIDE, CHANNELS).transpose(1, 2, 3, 0)  # (N, 3136) -> (28, 28, 4, N)
