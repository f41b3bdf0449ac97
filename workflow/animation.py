"""The animated picture that README.md and the book show, and its last frame for readers who want nothing to move.

    python -m workflow.animation

Both are committed: book/_static/race.webp and race.png. Weights and times are recorded ones.
"""

from __future__ import annotations

import io
from pathlib import Path

from agm import files, films, measured
from agm.figures import animation

OUT = Path(__file__).parents[1] / "book" / "_static"
LAYERS, PHOTOGRAPH = "rrrr", "motorcycle"
NAMES = {"NOAEL": "NOAEL: all layers, always", "A": "AEL: Config. A"}
FRAMES, SECONDS, REST = 49, 9.0, 3.0


def main() -> None:
    times = measured.read("pictures")
    rows = {}
    for schedule, name in NAMES.items():
        film = films.of_run(films.recorded("cpu", LAYERS, schedule), PHOTOGRAPH)
        rows[name] = film, films.times(times, LAYERS, schedule)
    pictures = animation.frames(rows, FRAMES)
    files.write_bytes(OUT / "race.webp", animation.encode(pictures, SECONDS, REST))
    still = io.BytesIO()
    pictures[-1].save(still, "PNG", optimize=True)
    files.write_bytes(OUT / "race.png", still.getvalue())


if __name__ == "__main__":
    main()
