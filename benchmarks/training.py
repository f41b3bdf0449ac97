"""Training speed per ORL configuration: images per second, share of the machine's measured ceiling, peak memory.

Variants take turns; figures are medians.
    python -m benchmarks.training --width 64 --precision bf16 --out training.json
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from agm import machine
from agm.config import RunConfig
from agm.networks.complexity import macs_per_iteration
from agm.schedule import Schedule
from agm.training.step import Execution, build, stepper, train_step
from benchmarks.measure import command_line, write
from benchmarks.straightforward import Straightforward
from study.budget import step_seconds
from study.experiments import TABLE_1

VARIANTS = ("straightforward", "library")
"""The loop of `benchmarks.straightforward`, and the library's: on a GPU, a CUDA graph."""


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--layers", nargs="+", default=list(TABLE_1), help="ORL configurations")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=VARIANTS)
    parser.add_argument("--schedule", default="NOAEL", help="AEL schedule")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--precision", default="32", choices=["32", "bf16"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="steps in each repeat")
    arguments = parser.parse_args()

    device = torch.device(machine.choose(arguments.device))
    ceiling = matmul_ceiling(device, arguments.precision)
    rows = []
    print(f"{'layers':8}{'variant':18}{'images/s':>10}{'TFLOP/s':>10}{'share':>8}{'peak GiB':>10}")
    for layers in arguments.layers:
        config = _config(layers, arguments)
        timed = {variant: Timed(config, variant, device) for variant in arguments.variants}
        for _ in range(arguments.repeats):
            for each in timed.values():
                each.seconds += itertools.islice(each.steps, arguments.steps)
        for variant, each in timed.items():
            rate = config.training.batch_size / statistics.median(each.seconds)
            flops = rate * training_flop(config)
            row = {"layers": layers, "variant": variant, "schedule": arguments.schedule, "images_per_second": rate}
            rows.append(row | {"flops": flops, "share_of_ceiling": flops / ceiling, "peak_bytes": each.peak})
            speed = f"{rate:>10.2f}{flops / 1e12:>10.3f}{flops / ceiling:>8.1%}"
            print(f"{layers:8}{variant:18}{speed}{each.peak / 2**30:>10.2f}", flush=True)
    write(arguments, "benchmarks.training", {"ceiling_flops": ceiling, "rows": rows}, device.type)


class Timed:
    """One variant, warmed up: the seconds of its steps, and the bytes that they need at most."""

    def __init__(self, config: RunConfig, variant: str, device: torch.device) -> None:
        self.seconds = list[float]()
        before = _allocated()
        self.steps = steps(config, variant, device.type)
        next(self.steps)
        if device.type == "cuda":
            self.peak = torch.cuda.max_memory_allocated(device) - before
        else:  # of a process of its own, where nothing else has been
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
                self.peak = other.submit(peak_memory, config, variant).result()


def steps(config: RunConfig, variant: str, device: str) -> Iterator[float]:
    """Seconds of one training step after another."""
    networks = build(config, Execution(device=device))
    if variant == "library":
        return step_seconds(networks, stepper(networks, config.training), config)
    networks.generator.__class__ = Straightforward  # it differs in nothing but `iterate`
    settings = config.training
    return step_seconds(
        networks, lambda low, target, mix, schedules=(): train_step(networks, low, target, settings, mix), config
    )


def peak_memory(config: RunConfig, variant: str) -> int:
    """By how much two training steps on the CPU raise this process's resident memory at most, in bytes."""
    torch.ones(64, 64) @ torch.ones(64, 64)  # what the first product loads
    before = _resident_peak()
    next(steps(config, variant, "cpu"))
    return _resident_peak() - before


def _resident_peak() -> int:
    """Since this program began; getrusage would count what ran in the process before. 0 where there is no /proc."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _config(layers: str, given: argparse.Namespace) -> RunConfig:
    sizes = {"width": given.width, "critic_width": given.width, "image_size": given.image_size}
    settings = {"schedule": given.schedule, "batch_size": given.batch_size, "precision": given.precision}
    return RunConfig().replace(layers=layers, **sizes, **settings)


def training_flop(config: RunConfig) -> float:
    """Operations of the generator's convolutions for one training image: forward, and twice that backward."""
    masks = Schedule.parse(config.training.schedule).masks
    return 6.0 * sum(macs_per_iteration(config.generator, config.data.image_size, mask) for mask in masks)


def matmul_ceiling(device: torch.device, precision: str) -> float:
    """FLOP/s of a large matrix product on random data: the median of ten."""
    size = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    rates = []
    for _ in range(13):
        start = time.perf_counter()
        a @ b
        machine.synchronize(device)
        rates.append(2.0 * size**3 / (time.perf_counter() - start))
    return statistics.median(rates[3:])


def _allocated() -> int:
    """GPU memory in use so far; the peak counts from here."""
    if not torch.cuda.is_available():
        return 0
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


if __name__ == "__main__":
    main()
