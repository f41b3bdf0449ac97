"""Measure any network: quality, time, operations. A script's command line and its results."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from agm import files, machine
from agm.config import GeneratorConfig
from agm.data import Part, to_tensor
from agm.networks.generator import Generator
from agm.training import evaluate
from agm.training.evaluate import Iterate

LIMIT = 120.0
"""Seconds for the timing of one size: no further round begins after them."""

HELP = {
    "layers": "ORL configurations",
    "schedule": "AEL schedule",
    "size": "side of the input",
    "minutes": "of training, per network",
    "model": "weights, run folder or id; None: as agm upscale",
}
"""Help for the options whose name does not say enough."""


def command_line(about: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """The options of a script: its docstring as help, those of `defaults`, and where the results go.

    An option has the type of its default, and takes several values where that is a tuple.
    """
    result = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        count = "*" if isinstance(default, tuple) else None
        kind = str if default is None else type(default[0] if count else default)
        option, told = f"--{name.replace('_', '-')}", f"{HELP.get(name, '')} [default: %(default)s]".lstrip()
        result.add_argument(option, type=kind, nargs=count, default=default, help=told)
    result.add_argument("--out", type=Path, help="write the JSON here")
    return result


def untrained(layers: str, width: int) -> Generator:
    """A network with random weights, each time the same."""
    torch.manual_seed(0)
    return Generator(GeneratorConfig(layers=layers, width=width)).eval()


@torch.inference_mode()
def quality(iterate: Iterate, part: Part) -> dict[str, list[float]]:
    """Each metric of each iteration, averaged over the images."""
    return evaluate.quality(lambda cut: torch.stack(list(iterate(to_tensor(part.low[cut])))), part).per_iteration()


@torch.inference_mode()
def take_turns(models: Mapping[str, Iterate], x: Tensor, rounds: int) -> dict[str, list[float]]:
    """Seconds until each image of x is there, by model, with a progress bar; five rounds at least."""
    bar = tqdm(range(rounds + 1), desc=f"{x.shape[-1]} x {x.shape[-2]}", unit="round", disable=None)
    return evaluate.until_each(evaluate.durations(models, x, bar, LIMIT, least=5))


@torch.inference_mode()
def macs_per_pixel(iterate: Iterate, size: int) -> list[float]:
    """Multiply-adds of the convolutions until each iteration's image, per pixel of an input of size x size."""
    found = []
    with FlopCounterMode(display=False) as counter:
        for _ in iterate(torch.rand(1, 3, size, size)):
            found.append(counter.get_total_flops() / 2 / size**2)
    return found


def write(arguments: argparse.Namespace, module: str, found: dict[str, Any], device: str = "cpu") -> None:
    """Write what a script measured as JSON to its `--out`, if given, with its other arguments and the machine."""
    if arguments.out:
        settings = {name: value for name, value in vars(arguments).items() if name != "out"}
        about = {"settings": settings, "machine": machine.describe(torch.device(device), module)}
        files.write_json(arguments.out, files.finite(about | found))
