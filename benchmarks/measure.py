"""Measure any network: quality, time, operations, parameters. Write the results of a script."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from agm import files, machine
from agm.config import RunConfig
from agm.data import Part
from agm.training import evaluate
from agm.training.evaluate import Iterate
from agm.training.loop import trained
from agm.training.step import Execution, build, stepper

LIMIT = 120.0
"""Seconds for the timing of one size: no further round begins after them."""


@torch.inference_mode()
def quality(iterate: Iterate, part: Part) -> dict[str, list[float]]:
    """Each metric of each iteration, averaged over the images."""
    return evaluate.quality(iterate, part).per_iteration()


@torch.inference_mode()
def take_turns(models: Mapping[str, Iterate], size: int, rounds: int) -> tuple[dict[str, list[float]], int]:
    """`agm.training.evaluate.take_turns` for one input of size x size, with a progress bar, five rounds at least."""
    bar = tqdm(range(rounds + 1), desc=f"{size} x {size}", unit="round", disable=None)
    return evaluate.take_turns(models, torch.rand(1, 3, size, size), bar, LIMIT, least=5)


@torch.inference_mode()
def macs_per_pixel(iterate: Iterate, size: int) -> list[float]:
    """Multiply-adds of the convolutions until each iteration's image, per pixel of an input of size x size."""
    found = []
    with FlopCounterMode(display=False) as counter:
        for _ in iterate(torch.rand(1, 3, size, size)):
            found.append(counter.get_total_flops() / 2 / size**2)
    return found


def step_seconds(config: RunConfig, rounds: int) -> list[float]:
    """Processor time of each of so many training steps on the CPU, after one that warms up."""
    networks = build(config, Execution(device="cpu", progress=False))
    networks.generator.train()
    update, size, batch = stepper(networks), config.data.image_size, config.training.batch_size
    low, high = (torch.rand(batch, 3, side, side) for side in (size // 2, size))
    taken = []
    for step in range(rounds + 1):
        begun = time.process_time()
        update(low, high, torch.rand(batch), trained(config, 0, step))
        taken.append(time.process_time() - begun)
    return taken[1:]


def write(arguments: argparse.Namespace, module: str, found: dict[str, Any], device: str = "cpu") -> None:
    """Write what a script measured as JSON to its `--out`, if given, with its other arguments and the machine."""
    if arguments.out:
        settings = {name: value for name, value in vars(arguments).items() if name != "out"}
        about = {"settings": settings, "machine": machine.describe(torch.device(device), module)}
        files.write_json(arguments.out, files.finite(about | found))


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
