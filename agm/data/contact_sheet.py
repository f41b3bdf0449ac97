"""A contact sheet of a data set: some images of every part as they are, at low resolution and enlarged again."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.util import montage

from agm.data import Part, Splits
from agm.files import write_bytes

COLUMNS = 4
"""Images side by side, each in its three forms."""
GAP, LINE = 8, 24
"""Pixels between images; height of a line of text."""


def write(path: Path, splits: Splits, name: str, images: int) -> int:
    """Draw about `images` images, a third of them from each part, as a PNG. Returns how many there are."""
    each = max(1, round(images / 3))
    parts = splits.parts
    drawn = [_part(part.high[:each]) for part in parts.values()]
    width = max(tile.shape[1] for tile in drawn)
    sheet = Image.new("RGB", (width, sum(len(tile) + LINE for tile in drawn) + LINE), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.text((GAP, 4), f"{name}: original | low resolution | bicubic", "black", font)
    top = LINE
    for (label, part), tile in zip(parts.items(), drawn, strict=True):
        draw.text((GAP, top + 4), f"{label}: {min(each, len(part))} of {len(part):,} images", "black", font)
        sheet.paste(Image.fromarray(tile), (0, top + LINE))
        top += LINE + len(tile)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())
    return sum(min(each, len(part)) for part in parts.values())


def _part(high: np.ndarray) -> np.ndarray:
    """(N, S, S, 3) -> one picture of N triples, COLUMNS in a row, on white with a margin."""
    part = Part(high)
    low = part.low.repeat(2, axis=1).repeat(2, axis=2)  # squares, so that it shows how few pixels there are
    triples = np.concatenate([high, low, part.bicubic], axis=2)  # (N, S, 3 S, 3)
    grid = -(-len(triples) // COLUMNS), COLUMNS
    page: np.ndarray = montage(triples, fill=(255, 255, 255), grid_shape=grid, padding_width=GAP, channel_axis=3)
    return page
