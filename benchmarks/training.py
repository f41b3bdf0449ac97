"""Training speed: images per second, and the share of what the machine's matrix product reaches.

    python -m benchmarks.training --width 64 --precision bf16 --out training.json

Two variants take turns, step by step: `eager`, the step as it is written, and `library`, what training makes of it: on
a GPU, a CUDA graph. --precision is 32 or bf16. TFLOP/s counts the generator's convolutions, thrice the forward pass.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.utils.benchmark import Timer

from agm import machine
from agm.config import RunConfig
from agm.networks.complexity import macs_per_iteration
from agm.schedule import Schedule
from agm.training.loop import trained
from agm.training.step import Execution, GraphedStep, Networks, Update, build, stepper, train_step
from benchmarks.measure import command_line, write
from study.experiments import TABLE_1


def main() -> None:
    sizes = {"width": 64, "image_size": 64, "batch_size": 16, "steps": 50}
    parser = command_line(__doc__, layers=TABLE_1, schedule="NOAEL", precision="32", device="auto", **sizes)
    arguments = parser.parse_args()
    device = machine.choose(arguments.device)
    ceiling = matmul_ceiling(device, arguments.precision)
    named = {name: getattr(arguments, name) for name in ("schedule", "width", "image_size", "batch_size", "precision")}
    rows = []
    print(f"{'layers':8}{'variant':12}{'images/s':>10}{'TFLOP/s':>10}{'share':>8}")
    for layers in arguments.layers:
        config = RunConfig().replace(layers=layers, critic_width=arguments.width, **named)
        for variant, rate in images_per_second(config, device, arguments.steps).items():
            flops = rate * training_flop(config)
            row = {"layers": layers, "variant": variant, "schedule": arguments.schedule, "images_per_second": rate}
            rows.append(row | {"flops": flops, "share_of_matmul": flops / ceiling})
            print(f"{layers:8}{variant:12}{rate:10.1f}{flops / 1e12:10.2f}{flops / ceiling:8.1%}", flush=True)
    write(arguments, "benchmarks.training", {"ceiling_flops": ceiling, "rows": rows}, device)


def images_per_second(config: RunConfig, device: str, steps: int) -> dict[str, float]:
    """By variant, from the median step."""
    eager = step_seconds(config, device, lambda networks: partial(train_step, networks))
    variants = {"eager": eager, "library": step_seconds(config, device, stepper)}
    turns = [{variant: next(seconds) for variant, seconds in variants.items()} for _ in range(steps)]
    medians = {variant: statistics.median(turn[variant] for turn in turns) for variant in variants}
    return {variant: config.training.batch_size / median for variant, median in medians.items()}


def step_seconds(run: RunConfig, device: str, make: Callable[[Networks], Update]) -> Iterator[float]:
    """Seconds of a run's training steps on random images, without end; the first ones warm up unseen."""
    networks = build(run, Execution(device=device))
    update, place = make(networks), networks.device
    size, batch = run.data.image_size, run.training.batch_size
    low, high = (torch.rand(batch, 3, side, side, device=place) for side in (size // 2, size))
    networks.generator.train()
    for step in itertools.count():
        machine.synchronize(place)
        begun = time.perf_counter()
        update(low, high, torch.zeros(batch, device=place), trained(run, 0, step))
        machine.synchronize(place)
        if step > (GraphedStep.WARM_UP if device == "cuda" else 0):
            yield time.perf_counter() - begun


def training_flop(config: RunConfig) -> float:
    """Operations of the generator's convolutions for one training image: forward, and twice that backward."""
    masks = Schedule.parse(config.training.schedule).masks
    return 6.0 * sum(macs_per_iteration(config.generator, config.data.image_size, mask) for mask in masks)


def matmul_ceiling(device: str, precision: str) -> float:
    """FLOP/s of a large matrix product on random data."""
    size = 8192 if device == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    timer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=torch.get_num_threads())
    return 2.0 * size**3 / timer.blocked_autorange().median


if __name__ == "__main__":
    main()
