"""The animated picture that README.md and the book show, and its last frame for readers who want nothing to move.

    python -m workflow.readme_animation

Both are committed: book/_static/race.webp and race.png. The network is the default one of `agm upscale`; its times are
measured here, on one core.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from agm import data, files
from agm.anytime.upscaler import AnytimeUpscaler
from study.figures import animation, film

OUT = Path(__file__).parents[1] / "book" / "_static"
PHOTOGRAPH, SIZE, ROUNDS = "coffee", 192, 20
FRAMES, SECONDS, REST = 49, 9.0, 3.0


def main() -> None:
    torch.set_num_threads(1)
    pictures = animation.frames(row(AnytimeUpscaler.load(timed=False)), FRAMES)
    files.write_bytes(OUT / "race.webp", animation.encode(pictures, SECONDS, REST))
    still = io.BytesIO()
    pictures[-1].save(still, "PNG", optimize=True)
    files.write_bytes(OUT / "race.png", still.getvalue())


def row(upscaler: AnytimeUpscaler) -> film.Row:
    """The upscaler's film of the photograph, halved first, and the milliseconds until each image.

    That is the shortest of some rounds, since whatever else runs here only adds to it.
    """
    part = data.Part(np.zeros(1, dtype=int), film.photograph(PHOTOGRAPH, SIZE)[None].copy())
    rounds = [list(upscaler.stream(part.low[0]))[1:] for _ in range(ROUNDS)]
    images = data.to_tensor(np.stack([np.asarray(made.image) for made in rounds[0]]))
    high, low, bicubic = (data.to_tensor(pixels.copy())[0] for pixels in (part.high, part.low, part.bicubic))
    milliseconds = np.min([[1000 * made.elapsed for made in streamed] for streamed in rounds], axis=0)
    return film.Film(high, low, bicubic, images), milliseconds.tolist()


if __name__ == "__main__":
    main()
