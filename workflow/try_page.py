"""Pack networks, photographs and ONNX Runtime into plain scripts, which the book's page "Try it" loads.

A page that is opened from a disk may load scripts and nothing else. So every part is a script with one call,
`agm.deliver(name, contents)`, in which bytes are gzipped and in base64. The scripts are called .mjs because Jupyter
Book would otherwise add them to every page.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from agm import files, paths
from agm.config import RunConfig
from agm.errors import AgmError
from agm.runs import Run
from study import experiments, profiles

STATIC = Path("book") / "_static"
OUT = STATIC / "try_packed"
RUNTIME = (STATIC / "ort" / "ort.wasm.bundle.min.mjs", STATIC / "ort" / "ort-wasm-simd-threaded.wasm.gz")
WORKER = (STATIC / "try" / "times.mjs", STATIC / "try" / "worker.mjs")
SIDE = 256
"""Of the photographs, in pixels; the page makes smaller ones of them."""


class Picture(NamedTuple):
    """A photograph that scikit-image ships and anyone may use."""

    file: str
    title: str
    alt: str
    source: str


PICTURES = (
    Picture("astronaut.png", "Astronaut", "Eileen Collins in an orange space suit", "NASA, public domain"),
    Picture("coffee.png", "Coffee", "A cup of coffee on a wooden table", "Rachel Michetti, CC0"),
    Picture("chelsea.png", "Cat", "The face of a ginger cat", "Stéfan van der Walt, CC0"),
    Picture("rocket.jpg", "Rocket", "A rocket rising at night", "SpaceX, public domain"),
)


class Model(NamedTuple):
    """A recorded run whose network the page offers."""

    name: str
    title: str
    weights: Path
    run: RunConfig


def models() -> list[Model]:
    """The default of `agm upscale`; and three on the paper's base: in its full width, and without and with AEL."""
    default = Run.read(paths.weights().parent)
    title = f"lighter base: {default.config.generator.layers}, width {default.config.generator.width}"
    found = [Model("default", title, default.folder / paths.WEIGHTS, default.config)]
    for profile, layers, schedule in (("reduced", "nnnr", "A"), ("cpu", "rrrr", "NOAEL"), ("cpu", "rrrr", "A")):
        run = experiments.plan("order", profiles.load(profile), layers=layers, schedule=schedule)[0]
        width, name = run.generator.width, schedule if schedule == "NOAEL" else f"Config. {schedule}"
        title = f"paper: {layers}, width {width}, {name}"
        weights = paths.results_folder() / profile / run.id / paths.WEIGHTS
        found.append(Model(f"{layers}-{schedule}-{width}", title, weights, run))
    return found


def outputs() -> list[str]:
    """Every file that is made."""
    return [str(OUT / f"{name}.mjs") for name in ("runtime", "index", *(offered.name for offered in models()))]


def inputs() -> list[str]:
    """Every file that is read."""
    return [*map(str, (*RUNTIME, *WORKER)), *(str(offered.weights) for offered in models())]


def main() -> None:
    deliver(OUT, "runtime", runtime())
    deliver(OUT, "index", index())
    for offered in models():
        deliver(OUT, offered.name, exported(offered))


def deliver(out: Path, name: str, contents: dict[str, Any]) -> None:
    """Write one of the scripts."""
    text = json.dumps(contents, ensure_ascii=False, separators=(",", ":"))
    files.write_bytes(out / f"{name}.mjs", f'agm.deliver("{name}", {text});\n'.encode())


def runtime() -> dict[str, str]:
    script, wasm = (path.read_bytes() for path in RUNTIME)
    worker = "\n".join(path.read_text() for path in WORKER)
    return {"worker": worker, "script": _packed(script), "wasm": base64.b64encode(wasm).decode()}


def index() -> dict[str, Any]:
    """The networks and photographs on offer."""
    offers = [{"name": one.name, "title": one.title, "schedule": one.run.training.schedule} for one in models()]
    return {"models": offers, "pictures": pictures()}


def pictures() -> list[dict[str, str]]:
    """PNG without colour profile, so that browsers take the pixels as they are."""
    return [{**picture._asdict(), "png": base64.b64encode(_png(picture.file)).decode()} for picture in PICTURES]


def _png(file: str) -> bytes:
    from PIL import Image

    from agm.data.bundled import shipped
    from agm.data.images import square

    buffer = io.BytesIO()
    Image.fromarray(square(shipped(file), SIDE)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def exported(offered: Model) -> dict[str, Any]:
    """A network's export: what the page reads of chain.json, and its files one after the other."""
    from agm.anytime.onnx.export import export, read
    from agm.runs import load_trained

    generator, config = load_trained(offered.weights)
    with tempfile.TemporaryDirectory() as folder:
        export(generator, Path(folder), config.schedule, run=config.id)
        chain, contents = read(Path(folder))
    kept = {key: chain[key] for key in ("files", "parts", "iterations", "feedback")}
    return {"chain": kept, "files": _packed(b"".join(contents.values()))}


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


if __name__ == "__main__":
    try:
        main()
    except AgmError as error:
        sys.exit(f"try_page: {error}")
