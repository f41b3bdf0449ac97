"""Training speed per ORL configuration: images per second, share of the machine's measured ceiling, peak memory.

The step is the library's own (`agm.training.step.train_step`). Variants take turns; figures are medians.
    python -m benchmarks.training --width 64 --precision bf16 --out training.json
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch

from agm import machine
from agm.config import DataConfig, GeneratorConfig, RunConfig, TrainingConfig
from agm.networks.complexity import macs_per_iteration
from agm.schedule import Schedule
from agm.training.step import Execution, GraphedStep, Networks, Update, build, stepper, train_step
from benchmarks.measure import write
from benchmarks.straightforward import Straightforward
from study.experiments import TABLE_1

VARIANTS = ("straightforward", "eager", "library")
"""The loop of `benchmarks.straightforward`, `train_step`, and what training makes of it: on a GPU, a CUDA graph."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    parser.add_argument("--out", type=Path, help="write the rows as JSON here")
    arguments = parser.parse_args()

    device = torch.device(machine.choose(arguments.device))
    ceiling = matmul_ceiling(device, arguments.precision)
    rows = []
    print(f"{'layers':8}{'variant':28}{'images/s':>10}{'TFLOP/s':>10}{'share':>8}{'peak GiB':>10}{'warm-up s':>14}")
    for layers in arguments.layers:
        config = _config(layers, arguments)
        timed = {variant: Timed(config, variant, arguments.device) for variant in arguments.variants}
        for _ in range(arguments.repeats):
            for each in timed.values():
                each.time(arguments.steps)
        flop = training_flop(config)
        for variant, each in timed.items():
            rate = statistics.median(each.rates)
            row = {"layers": layers, "variant": variant, "schedule": arguments.schedule, "images_per_second": rate}
            row |= {"flops": rate * flop, "share_of_ceiling": rate * flop / ceiling, "peak_bytes": each.peak}
            rows.append(row | {"warm_up_seconds": each.first})
            speed = f"{rate:>10.2f}{rate * flop / 1e12:>10.3f}{rate * flop / ceiling:>8.1%}"
            print(f"{layers:8}{variant:28}{speed}{each.peak / 2**30:>10.2f}{each.first:>14.1f}", flush=True)
    write(arguments, "benchmarks.training", {"ceiling_flops": ceiling, "rows": rows}, device.type)


class Timed:
    """One variant: its networks, warmed up; bytes they need at most while they train; images per second, by repeat."""

    def __init__(self, config: RunConfig, variant: str, device: str) -> None:
        self.config, self.rates = config, list[float]()
        before = _allocated()
        self.networks, self.update = prepared(config, variant, device)
        start = time.perf_counter()
        on_gpu = self.networks.device.type == "cuda"
        _steps(self.networks, self.update, config, GraphedStep.WARM_UP + 2 if on_gpu else 1)
        self.first = time.perf_counter() - start
        if on_gpu:
            self.peak = torch.cuda.max_memory_allocated(self.networks.device) - before
        else:  # of a process of its own, where nothing else has been
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
                self.peak = other.submit(peak_memory, config, variant).result()

    def time(self, steps: int) -> None:
        start = time.perf_counter()
        _steps(self.networks, self.update, self.config, steps)
        self.rates.append(steps * self.config.training.batch_size / (time.perf_counter() - start))


def prepared(config: RunConfig, variant: str, device: str) -> tuple[Networks, Update]:
    networks = build(config, Execution(device=device))
    if variant == "straightforward":
        networks.generator.__class__ = Straightforward  # it differs in nothing but `iterate`
    if variant == "library":
        return networks, stepper(networks)
    return networks, partial(train_step, networks)


def peak_memory(config: RunConfig, variant: str) -> int:
    """By how much two training steps on the CPU raise this process's resident memory at most, in bytes."""
    torch.ones(64, 64) @ torch.ones(64, 64)  # what the first product loads
    before = _resident_peak()
    _steps(*prepared(config, variant, "cpu"), config, 2)
    return _resident_peak() - before


def _resident_peak() -> int:
    """Since this program began; getrusage would count what ran in the process before. 0 where there is no /proc."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _config(layers: str, arguments: argparse.Namespace) -> RunConfig:
    training = TrainingConfig(
        schedule=arguments.schedule,
        batch_size=arguments.batch_size,
        precision=arguments.precision,
        critic_width=arguments.width,
    )
    data = DataConfig(image_size=arguments.image_size)
    return RunConfig(GeneratorConfig(layers=layers, width=arguments.width), data, training)


def _steps(networks: Networks, update: Update, config: RunConfig, count: int) -> None:
    size, batch, device = config.data.image_size, config.training.batch_size, networks.device
    networks.generator.train()
    low, target = (torch.rand(batch, 3, side, side, device=device) for side in (size // 2, size))
    for _ in range(count):
        update(low, target, torch.zeros(batch, device=device))
    machine.synchronize(device)


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
