"""The fastest runtime for a trained network on this machine: milliseconds until each image, per runtime.

    python -m benchmarks.runtimes --models rrrr nnnr --schedule A --out runtimes.json

A model is an ORL configuration, which gets random weights of --width, or what `agm export --model` takes. Runtimes take
turns; times are sums of each iteration's median, batch 1. Deviations are from `plain`, of all images clamped to [0, 1]:
`psnr` (dB, None where nothing differs) of the image that differs most, `largest` of any value. OpenVINO, and ncnn with
pnnx, are measured where they are installed. What cannot run here is left out with a line that says why.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agm import runs
from agm.anytime.engine.engine import Engine
from agm.anytime.onnx.export import export, read, row, taken
from agm.anytime.stepper import Plain, Progress, Stepper, iterate
from agm.config import ORL_CONFIGURATIONS, GeneratorConfig, from_dict
from agm.errors import AgmError
from agm.metrics import psnr
from agm.networks.generator import SCALE, Context, Generator, Memory
from agm.networks.layers import KINDS
from agm.paths import weights
from agm.schedule import Mask, Schedule
from benchmarks.measure import command_line, take_turns, untrained, write


class ChannelsLast(Plain):
    """Weights and activations with the channels last in memory."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(copy.deepcopy(generator).to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    def start(self, x: Tensor) -> Progress:
        return super().start(x.contiguous(memory_format=torch.channels_last))


class Compiled(Plain):
    """The step through torch.compile, which makes one of its own for every mask and set of states."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(copy.deepcopy(generator))
        torch._dynamo.config.recompile_limit = 64
        self.generator.step = torch.compile(self.generator.step)  # type: ignore[method-assign]


Run = Callable[[dict[str, Any]], dict[str, Any]]
"""Arrays by name, a file's inputs and perhaps others -> its outputs by name."""


class OnnxRuntime:
    """An export, run by ONNX Runtime. Its progress: arrays by name, and the masks of the iterations so far."""

    name = "onnxruntime"

    def __init__(self, folder: Path) -> None:
        chain, _ = read(folder)
        self.config = from_dict(GeneratorConfig, chain["generator"])
        self.schedule, self.statistics = Schedule.parse(chain["schedule"]), chain["statistics"]
        self.feedback = chain["feedback"]
        self.parts = {name: self.load(folder / part["file"]) for name, part in chain["parts"].items()}

    def load(self, path: Path) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        # Each file has its own threads; those that have just been used must not spin while the next one's work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        inputs, outputs = ([end.name for end in side] for side in (session.get_inputs(), session.get_outputs()))

        def run(held: dict[str, Any]) -> dict[str, Any]:
            return dict(zip(outputs, session.run(outputs, {name: held[name] for name in inputs}), strict=True))

        return run

    def start(self, x: Tensor) -> tuple[dict[str, Any], list[Mask]]:
        n, _, height, width = x.shape
        on_features = self.config.feedback == "features"
        shape = (n, self.config.width, height, width) if on_features else (n, 3, SCALE * height, SCALE * width)
        held = {"zeros": np.zeros(shape, np.float32), **self.parts["a"]({"x": x.contiguous().numpy()})}
        held["previous"] = held[self.feedback["first"]]
        return held, []

    def step(self, progress: tuple[dict[str, Any], list[Mask]], mask: Mask) -> Tensor:
        held, masks = progress
        held["t"] = np.array(row(self.config, self.statistics, len(masks)))
        masks.append(mask)
        for name in taken(self.config, masks):
            held |= {end.removesuffix("_next"): array for end, array in self.parts[name](held).items()}
        held["previous"] = held[self.feedback["later"]]
        return torch.from_numpy(held["image"])


class OpenVino(OnnxRuntime):
    """An export, run by OpenVINO."""

    def __init__(self, folder: Path) -> None:
        import openvino

        self.core = openvino.Core()
        super().__init__(folder)

    def load(self, path: Path) -> Run:
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        settings["INFERENCE_NUM_THREADS"] = torch.get_num_threads()
        network = self.core.compile_model(self.core.read_model(path), "CPU", settings)
        inputs, outputs = ([end.any_name for end in side] for side in (network.inputs, network.outputs))

        def run(held: dict[str, Any]) -> dict[str, Any]:
            made = network({name: held[name] for name in inputs}).values()
            return {name: array.copy() for name, array in zip(outputs, made, strict=True)}

        return run


class Iteration(nn.Module):
    """One iteration as a function of tensors alone, those of `flat`, which gives its image and those of the next."""

    def __init__(self, generator: Generator, mask: Mask, progress: Progress) -> None:
        super().__init__()
        self.generator, self.mask, self.t = generator, mask, progress.t
        self.based, self.held = progress.context.bicubic is not None, [s is not None for s in progress.memory.states]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        context, memory = unflat(list(tensors), self.based, self.held)
        image, memory = self.generator.step(context, memory, self.mask, self.t, "iteration")
        made = flat(context, memory)[1 + self.based :]
        return tuple(made) if memory.previous is image else (image, *made)  # pnnx gives no tensor twice


def flat(context: Context, memory: Memory) -> list[Tensor]:
    """Features, base if there is one, what is fed back, and the states that there are."""
    halves = (half for state in memory.states for half in state or ())
    given = (context.features, context.bicubic, memory.previous, *halves)
    return [tensor for tensor in given if tensor is not None]


def unflat(tensors: list[Tensor], based: bool, held: list[bool]) -> tuple[Context, Memory]:
    """The opposite. `held`: which layers have a state, of two tensors each."""
    rest = iter(tensors)
    context, previous = Context(next(rest), next(rest) if based else None), next(rest)
    return context, Memory(previous, tuple((next(rest), next(rest)) if one else None for one in held))


class Ncnn(Plain):
    """Each iteration by ncnn in 32-bit numbers, converted by pnnx when it is first needed; part A in torch."""

    def __init__(self, generator: Generator) -> None:
        import ncnn
        import pnnx

        super().__init__(generator)
        self.ncnn, self.pnnx, self.networks = ncnn, pnnx.EXEC_PATH, dict[tuple[Mask, int], Any]()

    @torch.inference_mode()
    def step(self, progress: Progress, mask: Mask) -> Tensor:
        context, memory = progress.context, progress.memory
        tensors, at = flat(context, memory), (mask, progress.t)
        if at not in self.networks:
            self.networks[at] = self._network(Iteration(self.generator, mask, progress), tensors)
        letters = zip(self.generator.config.layers, mask, memory.states, strict=True)
        held = [state is not None or (active and KINDS[letter].recurrent) for letter, active, state in letters]
        separate = self.generator.config.feedback == "features"
        with self.networks[at].create_extractor() as run:  # it has no axis for the batch
            for i, tensor in enumerate(tensors):
                run.input(f"in{i}", self.ncnn.Mat(tensor[0].contiguous().numpy()))
            names = [f"out{i}" for i in range(1 + separate + 2 * sum(held))]
            made = [torch.from_numpy(np.array(run.extract(name)[1]))[None] for name in names]
        image = made.pop(0) if separate else made[0]
        progress.memory, progress.t = unflat([context.features, *made], False, held)[1], progress.t + 1
        return image

    def _network(self, iteration: Iteration, tensors: list[Tensor]) -> Any:
        network = self.ncnn.Net()
        network.opt.num_threads = torch.get_num_threads()
        network.opt.use_bf16_storage = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
            traced = torch.jit.trace(iteration, tuple(tensors))  # type: ignore[no-untyped-call]
            traced.save(f"{folder}/traced.pt")
            subprocess.run([self.pnnx, "traced.pt", "fp16=0"], cwd=folder, check=True, capture_output=True)
            network.load_param(f"{folder}/traced.ncnn.param")
            network.load_model(f"{folder}/traced.ncnn.bin")
        return network


RUNTIMES: dict[str, Callable[[Generator, Path], Stepper]] = {
    "plain": lambda generator, folder: Plain(generator),
    "channels_last": lambda generator, folder: ChannelsLast(generator),
    "compile": lambda generator, folder: Compiled(generator),
    "onnxruntime": lambda generator, folder: OnnxRuntime(folder),
    "openvino": lambda generator, folder: OpenVino(folder),
    "ncnn": lambda generator, folder: Ncnn(generator),
    "engine": lambda generator, folder: Engine(generator),
}


def main() -> None:
    sizes = {"width": 64, "size": 32, "rounds": 10, "threads": torch.get_num_threads()}
    parser = command_line(__doc__, models=("rrrr", "nnnr"), schedule="A", **sizes)
    parser.add_argument("--runtimes", nargs="+", default=list(RUNTIMES), choices=RUNTIMES)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [row for name in arguments.models for row in _rows(name, arguments)]
    write(arguments, "benchmarks.runtimes", {"rows": rows})


def _rows(name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all runtimes with one model."""
    made_up, schedule = name in ORL_CONFIGURATIONS, Schedule.parse(arguments.schedule)
    generator = untrained(name, arguments.width) if made_up else runs.load(weights(name))
    x = torch.rand(1, 3, arguments.size, arguments.size, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        export(generator, Path(folder, "export"), schedule)
        steppers = dict(_steppers(generator, Path(folder, "export"), arguments.runtimes))
    iterates = {key: partial(iterate, stepper, schedule) for key, stepper in steppers.items()}
    wanted = torch.stack(list(iterate(Plain(generator), schedule, x))).clamp(0, 1)  # (T, N, 3, 2H, 2W)
    images = {key: torch.stack(list(model(x))).float().clamp(0, 1) for key, model in iterates.items()}
    seconds = take_turns(iterates, x, arguments.rounds)
    print(f"{'model':14}{'runtime':16}{'first/ms':>10}{'all/ms':>10}{'PSNR/dB':>10}{'largest':>10}")
    rows = []
    for key, moments in seconds.items():
        row: dict[str, Any] = {"model": name, "layers": generator.config.layers, "width": generator.config.width}
        row |= {"runtime": key, "ms": [1000 * moment for moment in moments]}
        row |= {"psnr": float(psnr(images[key], wanted).min()), "largest": float((images[key] - wanted).abs().max())}
        rows.append(row)
        figures = f"{row['ms'][0]:>10.1f}{row['ms'][-1]:>10.1f}{row['psnr']:>10.1f}{row['largest']:>10.1e}"
        print(f"{name:14}{key:16}{figures}", flush=True)
    return rows


def _steppers(generator: Generator, folder: Path, names: list[str]) -> Iterator[tuple[str, Stepper]]:
    for name in names:
        try:
            yield name, RUNTIMES[name](generator, folder)
        except ModuleNotFoundError as error:
            print(f"{name}: left out, {error.name} is not installed", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except AgmError as error:
        sys.exit(str(error))
