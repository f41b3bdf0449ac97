"""A trained generator as ONNX files, one step per activation mask, and `chain.json`, which says how to chain them.

All steps share one file of weights (ONNX external data): a layer is stored once, whatever the number of masks, and the
steps themselves are some kilobytes each. ONNX Runtime finds the file beside the step; in a browser it is handed over
with the session's `externalData`.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from agm import files
from agm.anytime.plain import check_statistics, held_bytes
from agm.config import GeneratorConfig, Statistics, from_dict
from agm.errors import NO_MEMORY, AgmError
from agm.generator import Generator
from agm.schedule import Mask, Schedule

if TYPE_CHECKING:
    from agm.anytime.graphs import Shapes

CHAIN, WEIGHTS = "chain.json", "weights.bin"
FORMAT = "agm chain 1"
START = "start"
"""The file of what is done once per image; the others are called after their step."""
PRECISIONS = (32, 16)
ABOUT = {
    "shapes": "N images of H x W pixels, float32, RGB in [0, 1]; t is an int64 without dimensions. N, H, W may vary.",
    "chain": "Run `start` once per image, then every entry of `iterations` in order. An entry names its step, the row "
    "t of the batch-norm statistics, and for each other input [iteration, output] that it is taken from; iteration 0 "
    "is `start`; 'zeros' is a tensor of zeros.",
    "steps": "x is an active layer, - an inactive one, 0 an active one whose state is still zero and no input. A step "
    "without 0 does for one with it if it is given zeros.",
    "image": "Not clamped: feed it back as it is; clamp it to [0, 1] to show it.",
    "weights": "All files refer to tensors in weights.bin beside them; onnxruntime-web wants it with each session: "
    "externalData: [{path: 'weights.bin', data: ...}].",
}
"""Stands in chain.json, for people."""


def export(
    generator: Generator,
    folder: Path,
    schedule: Schedule,
    statistics: Statistics = "iteration",
    precision: int = 32,
    run: str | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write a generator's steps for a schedule to a new folder; returns what stands in chain.json.

    `precision`: of the stored convolution weights, 32 or 16 bits; the arithmetic is of 32. `run`: where the weights are
    from. The same export that is there already stays. Raises AgmError, and writes nothing, if onnx is missing, the
    folder is in the way or the weights are not finite.
    """
    check_statistics(statistics)
    if generator.config.base == "light":
        raise AgmError("only networks on the paper's base can be exported, this one is on base='light'")
    if precision not in PRECISIONS:
        raise AgmError(f"precision {precision}: the weights are stored with 32 or 16 bits")
    target = folder.expanduser().resolve()  # where a link leads, so that the last rename stays on one disk
    _check_place(target)
    contents = encode(generator, schedule, statistics, precision)
    about = {"run": run, "statistics": statistics, "precision": precision, "schedule": str(schedule)}
    listed = {name: {"bytes": len(c), "sha256": files.sha256(c)} for name, c in contents.items()}
    chain = {"format": FORMAT, **about, "generator": asdict(generator.config), "about": ABOUT, "files": listed}
    chain = files.seal(chain | describe(generator.config, schedule, statistics))
    contents[CHAIN] = files.encode_json(chain)
    _put(contents, target, force)
    return chain


def encode(generator: Generator, schedule: Schedule, statistics: Statistics, precision: int) -> dict[str, bytes]:
    """File name -> content, the weights last."""
    try:
        from agm.anytime import graphs
    except ModuleNotFoundError:
        raise AgmError("exporting needs the package onnx: pip install 'agm[export]'") from None
    store, contents = graphs.Store(WEIGHTS, precision), {}
    for name, (inputs, outputs) in shapes(generator.config, schedule).items():
        graph = graphs.Graph(store)
        if name == START:
            graphs.start(graph, generator, statistics)
        else:
            graphs.step(graph, generator, name, statistics)
        contents[file_name(name)] = graph.encode(name, inputs, outputs)
    return contents | {WEIGHTS: bytes(store.content)}


def describe(config: GeneratorConfig, schedule: Schedule, statistics: Statistics) -> dict[str, Any]:
    """How to chain the files: the inputs and outputs of each, and where every iteration's inputs come from."""
    parts = shapes(config, schedule)
    origins: dict[str, Any] = {"features": (0, "features"), "base": (0, "base")}
    origins["previous"] = "zeros" if config.feedback == "zeros" else (0, "base")
    iterations = []
    for t, name in enumerate(_taken(config.layers, schedule)):
        inputs, outputs = parts[name]
        taken = {end: origins[end] for end in inputs if end != "t"}
        iterations.append({"step": name, "t": _row(config, statistics, t), "inputs": taken})
        origins |= {end.removesuffix("_next"): (t + 1, end) for end in outputs} | {"previous": (t + 1, "image")}
    files_ = {name: {"file": file_name(name), "inputs": i, "outputs": o} for name, (i, o) in parts.items()}
    return {"start": files_.pop(START), "steps": files_, "iterations": iterations}


def shapes(config: GeneratorConfig, schedule: Schedule) -> dict[str, tuple[Shapes, Shapes]]:
    """The inputs and outputs of `start` and of every step: those taken, and one with all states for each mask."""
    small, large = ("H", "W"), ("2H", "2W")
    image, features = ("N", 3, *large), ("N", config.width, *small)
    base = {"base": image} if config.residual or config.feedback == "bicubic" else {}
    found: dict[str, tuple[Shapes, Shapes]] = {START: ({"x": ("N", 3, *small)}, {"features": features, **base})}
    taken = _taken(config.layers, schedule)
    for name in dict.fromkeys(taken + [step.replace("0", "x") for step in taken]):
        states: dict[str, Any] = {}
        for i, letter in enumerate(config.layers):
            if letter == "r" and name[i] != "-":
                shape = ("N", config.width * (1 if i == 3 else 2), *(small if i < 2 else large))
                states |= {f"h{i + 1}": shape, f"c{i + 1}": shape}
        held = {end: shape for end, shape in states.items() if name[int(end[1]) - 1] == "x"}
        inputs = {"features": features, "previous": image, "t": (), **(base if config.residual else {}), **held}
        found[name] = inputs, {"image": image, **{f"{end}_next": shape for end, shape in states.items()}}
    return found


def step_name(layers: str, mask: Mask, used: set[int]) -> str:
    """The step for a mask, where the layers in `used`, counted from 0, have been active before."""
    letters = ["0" if letter == "r" and i not in used else "x" for i, letter in enumerate(layers)]
    return "".join(letter if active else "-" for letter, active in zip(letters, mask, strict=True))


def file_name(part: str) -> str:
    return f"{part}.onnx" if part == START else f"step_{part}.onnx"


def _taken(layers: str, schedule: Schedule) -> list[str]:
    """The step of every iteration."""
    names, used = [], set[int]()
    for mask in schedule.masks:
        names.append(step_name(layers, mask, used))
        used |= _active(mask)
    return names


def _active(mask: Mask) -> set[int]:
    return {i for i, active in enumerate(mask) if active}


def _row(config: GeneratorConfig, statistics: str, t: int) -> int:
    """Of the tables of statistics; past the last iteration, the last iteration's."""
    return 0 if statistics == "shared" else min(t, config.iterations - 1)


@dataclass
class Progress:
    """Where one batch of images stands: all inputs of the next step, and which layers have been active."""

    tensors: dict[str, Any]
    size: dict[str, int]  # N, H, W, 2H, 2W
    used: set[int] = field(default_factory=set)
    t: int = 0


class OnnxStepper:
    """An export, run by ONNX Runtime: a Stepper for `AnytimeUpscaler`, with its own `config` and `schedule`."""

    name = "onnxruntime"

    def __init__(self, folder: str | Path, threads: int | None = None) -> None:
        """`threads`: as many as torch uses by default. Raises AgmError if onnxruntime is missing or the export is
        damaged."""
        self.folder, self.threads = Path(folder), threads or torch.get_num_threads()
        chain, contents = read(self.folder)
        self.config = from_dict(GeneratorConfig, chain["generator"])
        self.schedule, self.statistics = Schedule.parse(chain["schedule"]), chain["statistics"]
        self.inputs: dict[str, dict[str, list[Any]]] = {name: part["inputs"] for name, part in chain["steps"].items()}
        self._parts = {name: self.load(file_name(name), contents) for name in [START, *self.inputs]}

    def load(self, name: str, contents: dict[str, bytes]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """A file, ready to be run: inputs by name -> outputs by name."""
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise AgmError("running an export needs the package onnxruntime: pip install 'agm[export]'") from None
        options, weights = onnxruntime.SessionOptions(), contents[WEIGHTS]
        options.intra_op_num_threads, options.log_severity_level = self.threads, 3
        # Each file has its own threads; those that have just been used must not spin while the next one's work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
        try:
            session = onnxruntime.InferenceSession(contents[name], options, providers=["CPUExecutionProvider"])
        except Exception as error:  # it has a class of its own for every reason
            raise AgmError(f"{self.folder / name}: ONNX Runtime cannot read it ({error}); export again") from None
        outputs = [output.name for output in session.get_outputs()]

        def run(inputs: dict[str, Any]) -> dict[str, Any]:
            try:
                return dict(zip(outputs, session.run(outputs, inputs), strict=True))
            except Exception as error:
                if NO_MEMORY.search(str(error)):
                    raise
                raise AgmError(f"{self.folder / name}: ONNX Runtime cannot run it ({error}); export again") from None

        return run

    def start(self, x: Tensor) -> Progress:
        """x: (N, 3, H, W) in [0, 1] -> progress before the first iteration."""
        n, _, height, width = x.shape
        size = {"N": n, "H": height, "W": width, "2H": 2 * height, "2W": 2 * width}
        tensors = self._parts[START]({"x": np.ascontiguousarray(x.numpy(), np.float32)})
        tensors["previous"] = (
            tensors["base"] if self.config.feedback == "bicubic" else _zeros(["N", 3, "2H", "2W"], size)
        )
        return Progress(tensors, size)

    def step(self, progress: Progress, mask: Mask) -> Tensor:
        """One iteration with the active layers of `mask` -> its image, (N, 3, 2H, 2W), not clamped.

        Raises AgmError if the export has no such step.
        """
        name = step_name(self.config.layers, mask, progress.used)
        if name not in self.inputs:
            name = name.replace("0", "x")
        if name not in self.inputs:
            raise AgmError(f"the export has no step {name}; export a schedule with it")
        row = np.array(_row(self.config, self.statistics, progress.t))
        given = {"t": row} | {end: progress.tensors[end] for end in self.inputs[name] if end in progress.tensors}
        given |= {end: _zeros(shape, progress.size) for end, shape in self.inputs[name].items() if end not in given}
        made = self._parts[name](given)
        image = made.pop("image")
        progress.tensors |= {end.removesuffix("_next"): array for end, array in made.items()} | {"previous": image}
        progress.used |= _active(mask)
        progress.t += 1
        return torch.from_numpy(image)

    def held_bytes(self, schedules: Iterable[Schedule]) -> int:
        """What `Progress` and one more image hold between iterations, in bytes per input pixel."""
        return held_bytes(self.config)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """chain.json, and the content of every file it lists. Raises AgmError if they do not belong together."""
    chain = files.read_json(folder / CHAIN)
    if not isinstance(chain, dict) or chain.get("format") != FORMAT or "files" not in chain:
        raise AgmError(f"{folder / CHAIN}: not written by this version of agm, or damaged; export again")
    if not files.is_sealed(chain):
        raise AgmError(f"{folder / CHAIN}: damaged, its checksum does not match; export again")
    if not _is_whole(chain):
        raise AgmError(f"{folder / CHAIN}: damaged, it lists other files than its schedule needs; export again")
    contents = {}
    for name, entry in chain["files"].items():
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise AgmError(f"{folder / name}: cannot be read ({error.strerror}); export again") from None
        if files.sha256(contents[name]) != entry["sha256"]:
            raise AgmError(f"{folder / name}: damaged, it is not what {CHAIN} says; export again")
    return chain, contents


def _is_whole(chain: dict[str, Any]) -> bool:
    """Whether steps and files are those that `export` writes for its network and schedule: no others are opened."""
    try:
        config, schedule = from_dict(GeneratorConfig, chain["generator"]), Schedule.parse(chain["schedule"])
        check_statistics(chain["statistics"])
        if len(schedule) != len(chain["iterations"]):
            return False
        wanted = json.loads(files.encode_json(describe(config, schedule, chain["statistics"])))
        names = {WEIGHTS, *map(file_name, [START, *wanted["steps"]])}
        listed = {name for name, entry in chain["files"].items() if isinstance(entry["sha256"], str)}
        return listed == names and all(chain[key] == wanted[key] for key in wanted)
    except (AgmError, KeyError, TypeError, AttributeError):
        return False


def _zeros(shape: list[Any], size: dict[str, int]) -> Any:
    return np.zeros([size.get(side, side) for side in shape], np.float32)


def _check_place(out: Path) -> None:
    """Raises AgmError if there is something else than an export."""
    if not out.name or (out.exists() and not out.is_dir()):
        raise AgmError(f"{out}: not a place for a folder; name another one with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / CHAIN).is_file():
        raise AgmError(f"{out}: holds other files, but no export; name an empty or a new folder with --out")


def _put(contents: dict[str, bytes], out: Path, force: bool) -> None:
    """Write a folder beside its place, then rename it: there is all of it, or nothing.

    The folder's name is fixed: what a killed process left there is put back, or written over.
    """
    partial, lock = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.lock")
    new, old = partial / "new", partial / "old"
    try:
        with files.locked(lock, math.inf):
            _undo(partial, out)
            try:
                if not _is_there(contents, out, force):
                    for name, content in contents.items():
                        files.write_bytes(new / name, content)
                    if out.is_dir():
                        files.copy_others(out, new, _named(out) | contents.keys())
                        out.rename(old)
                    new.rename(out)
            finally:
                _undo(partial, out)
                lock.unlink(missing_ok=True)
    except OSError as error:
        raise files.unwritable(out, error) from None


def _named(out: Path) -> set[str]:
    """The files of the export in a folder; of one that is damaged no more than its description is known."""
    try:
        return {CHAIN, *files.read_json(out / CHAIN)["files"]}
    except (AgmError, KeyError, TypeError):
        return {CHAIN}


def _undo(partial: Path, out: Path) -> None:
    """Remove what is unfinished; put back what was to be replaced and was not."""
    if (partial / "old").is_dir() and not out.exists():
        (partial / "old").rename(out)
    shutil.rmtree(partial, ignore_errors=True)


def _is_there(contents: dict[str, bytes], out: Path, force: bool) -> bool:
    """Whether this very export is in its place. Raises AgmError if another one is, unless `force` is given."""
    if not (out / CHAIN).is_file():
        return False
    if all((out / name).is_file() and (out / name).read_bytes() == content for name, content in contents.items()):
        return True
    if not force:
        raise AgmError(f"{out}: holds another export; name another folder with --out, or replace it with --force")
    return False
