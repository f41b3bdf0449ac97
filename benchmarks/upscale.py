"""Time and memory of `agm upscale` on photographs of 1, 12 and 100 megapixels.

    python -m benchmarks.upscale --out results/benchmarks/upscale.json

Each is one call of the command, JPEG in and out, with all of its work and the seconds that starting takes. The
photograph is scikit-image's astronaut, repeated. The JSON: `settings`, `machine`, `seconds` of all, and in `rows` for
every size `megapixels`, `seconds` and `gigabytes`, the most memory that the process held.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data as photographs

from benchmarks import measure

# A process counts the memory of the one that started it as its own, so a small one does that.
WRAPPER = """
import resource, subprocess, sys, time
begun = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
SIDES = {1: (1000, 1000), 12: (4000, 3000), 100: (11600, 8700)}


def main() -> None:
    parser = measure.command_line(__doc__)
    parser.add_argument("--megapixels", type=int, nargs="+", choices=SIDES, default=list(SIDES))
    arguments = parser.parse_args()
    rows = [measured(megapixels) for megapixels in arguments.megapixels]
    result = {"rows": rows, "seconds": sum(row["seconds"] for row in rows)}
    measure.write(arguments, "agm.anytime.upscaler", result)


def measured(megapixels: int) -> dict[str, Any]:
    width, height = SIDES[megapixels]
    pixels = photographs.astronaut()  # type: ignore[no-untyped-call]
    repeats = -(-height // pixels.shape[0]), -(-width // pixels.shape[1]), 1
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in.jpg", Path(folder) / "out.jpg"
        Image.fromarray(np.tile(pixels, repeats)[:height, :width]).save(source, quality=95)
        command = [sys.executable, "-m", "agm", "upscale", str(source), str(out), "--large"]
        done = subprocess.run([sys.executable, "-c", WRAPPER, *command], stdout=subprocess.PIPE, check=True)
    seconds, largest = map(float, done.stdout.split())
    gigabytes = largest * (1 if sys.platform == "darwin" else 1024) / 1e9
    print(f"{megapixels:>4} megapixels: {seconds:.1f} s, {gigabytes:.2f} GB", flush=True)
    return {"megapixels": megapixels, "seconds": seconds, "gigabytes": gigabytes}


if __name__ == "__main__":
    main()
