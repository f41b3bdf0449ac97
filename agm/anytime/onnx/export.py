"""A trained generator as ONNX files, one per part, and `chain.json`, which says in which order to run them.

Parts are A, B, the four layers, C.2 where the base has it, and D. Which of the layers run is the caller's choice, so
one export serves every AEL schedule. All files share one file of weights (ONNX external data), and are some kilobytes
each. ONNX Runtime finds it beside them; in a browser it is handed over with the session's `externalData`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agm import files
from agm.anytime.stepper import check_statistics
from agm.config import GeneratorConfig, Statistics
from agm.errors import AgmError
from agm.networks.generator import UPSAMPLED, Generator
from agm.networks.layers import KINDS
from agm.schedule import Mask, Schedule

if TYPE_CHECKING:
    from agm.anytime.onnx.graphs import Shapes

CHAIN, WEIGHTS = "chain.json", "weights.bin"
FORMAT = "agm chain 2"
PRECISIONS = (32, 16)
WHOLE = GeneratorConfig("rrrr")
"""A network with every part there is."""


def export(
    generator: Generator,
    folder: Path,
    schedule: Schedule,
    statistics: Statistics = "iteration",
    precision: int = 32,
    run: str | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write a generator's parts, and how a schedule chains them, to a new folder; returns what stands in chain.json.

    `precision`: of the stored convolution weights, 32 or 16 bits; the arithmetic is of 32. `run`: where the weights are
    from. The same export that is there already stays. Raises AgmError, and writes nothing, if onnx is missing, the
    folder is in the way or the weights are not finite.
    """
    check_statistics(statistics)
    if precision not in PRECISIONS:
        raise AgmError(f"precision {precision}: the weights are stored with 32 or 16 bits")
    contents = encode(generator, statistics, precision)
    about = {"run": run, "statistics": statistics, "precision": precision, "schedule": str(schedule)}
    listed = {name: _entry(content) for name, content in contents.items()}
    chain = {"format": FORMAT, **about, "generator": asdict(generator.config), "files": listed}
    chain = files.seal(chain | describe(generator.config, schedule, statistics))

    def write(target: Path) -> None:
        for name, content in (contents | {CHAIN: files.encode_json(chain)}).items():
            files.write_bytes(target / name, content)

    files.replace_folder(folder, write, "export", (CHAIN,), force, others=file_names(WHOLE))
    return chain


def encode(generator: Generator, statistics: Statistics, precision: int) -> dict[str, bytes]:
    """File name -> content, the weights last."""
    try:
        from agm.anytime.onnx import graphs
    except ModuleNotFoundError:
        raise AgmError("exporting needs the package onnx: pip install 'agm[export]'") from None
    if generator.config.peephole:
        raise AgmError("networks with peepholes cannot be exported yet")
    for letter in generator.config.layers:
        if letter not in graphs.LETTERS:
            raise AgmError(f"{KINDS[letter].label} layers cannot be exported yet, only {' and '.join(graphs.LETTERS)}")
    store, contents = graphs.Store(WEIGHTS, precision), {}
    for name, (inputs, outputs) in ends(generator.config).items():
        graph = graphs.Graph(store)
        graphs.build(graph, generator, name, statistics)
        contents[f"{name}.onnx"] = graph.encode(name, inputs, outputs)
    return contents | {WEIGHTS: bytes(store.content)}


def describe(config: GeneratorConfig, schedule: Schedule, statistics: Statistics) -> dict[str, Any]:
    """Instructions to run the files: the inputs and outputs of each, and the parts that each iteration runs."""
    masks = schedule.masks
    return {
        "parts": {name: {"file": f"{name}.onnx", "inputs": i, "outputs": o} for name, (i, o) in ends(config).items()},
        "iterations": [
            {"t": row(config, statistics, t), "parts": taken(config, masks[: t + 1])} for t in range(len(masks))
        ],
        "feedback": {
            "first": "base" if config.feedback == "bicubic" else "zeros",
            "later": "z" if config.feedback == "features" else "image",
        },
    }


def file_names(config: GeneratorConfig) -> list[str]:
    """Every file of an export but chain.json, the weights last."""
    return [*(f"{name}.onnx" for name in ends(config)), WEIGHTS]


def ends(config: GeneratorConfig) -> dict[str, tuple[Shapes, Shapes]]:
    """The inputs and outputs of every part."""
    paper, (small, large) = config.base == "paper", (("H", "W"), ("2H", "2W"))
    image, features = ("N", 3, *large), ("N", config.width, *small)
    t: Shapes = {"t": ()} if paper else {}  # batch norm asks for it
    base = {"base": image} if config.residual or config.feedback == "bicubic" else {}
    previous = features if config.feedback == "features" else image
    z: tuple[int | str, ...] = ("N", 2 * config.width, *small)
    found: dict[str, tuple[Shapes, Shapes]] = {
        "a": ({"x": ("N", 3, *small)}, {"features": features, **base}),
        "b": ({"features": features, "previous": previous, **t}, {"z": z}),
    }
    for i, letter in enumerate(config.layers):
        if i == UPSAMPLED and paper:
            found["up"] = {"z": z}, {"z_next": (*z[:2], *large)}
            z = (*z[:2], *large)
        out = ("N", config.width if i == UPSAMPLED + 1 else 2 * config.width, *z[2:])
        states = {f"h{i + 1}": out, f"c{i + 1}": out} if letter == "r" else {}
        outputs = {"z_next": out} | {f"{name}_next": out for name in states}
        found[f"layer{i + 1}"] = {"z": z, **(states or t)}, outputs
        if states:
            found[f"layer{i + 1}_first"] = {"z": z}, outputs
        z = out
    return found | {"d": ({"z": z, **(base if config.residual else {})}, {"image": image})}


def taken(config: GeneratorConfig, masks: Sequence[Mask]) -> list[str]:
    """The parts of the last of these iterations, in order."""
    *before, mask = masks
    names = ["b"]
    for i, letter in enumerate(config.layers):
        if i == UPSAMPLED and config.base == "paper":
            names.append("up")
        if mask[i]:
            has_state = letter != "r" or any(earlier[i] for earlier in before)
            names.append(f"layer{i + 1}" if has_state else f"layer{i + 1}_first")
    return [*names, "d"]


def row(config: GeneratorConfig, statistics: str, t: int) -> int:
    """Row of the tables of statistics; past the last iteration, the last row."""
    return 0 if statistics == "shared" else min(t, config.iterations - 1)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """chain.json, and the content of every file it lists. Raises AgmError if they do not belong together."""
    chain = files.read_json(folder / CHAIN)
    if not isinstance(chain, dict) or chain.get("format") != FORMAT or not files.is_sealed(chain):
        raise AgmError(f"{folder / CHAIN}: not written by this version of agm, or damaged; export again")
    listed, contents = chain.get("files"), {}
    if not isinstance(listed, dict) or not listed.keys() <= set(file_names(WHOLE)):
        raise AgmError(f"{folder / CHAIN}: damaged, it lists other files than an export has; export again")
    for name in listed:
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise AgmError(f"{folder / name}: cannot be read ({error.strerror}); export again") from None
        if listed[name] != _entry(contents[name]):
            raise AgmError(f"{folder / name}: damaged, it is not what {CHAIN} says; export again")
    return chain, contents


def _entry(content: bytes) -> dict[str, Any]:
    """A file as chain.json lists it."""
    return {"bytes": len(content), "sha256": files.sha256(content)}
