"""Training speed per ORL configuration: images per second, share of the machine's measured ceiling, peak memory.

The step is the library's own (`agm.step.train_step`). Variants take turns; figures are medians.
    python -m benchmarks.training --width 64 --precision bf16 --out training.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from agm import files, machine
from agm.config import DataConfig, GeneratorConfig, RunConfig, TrainingConfig
from agm.counting import macs_per_iteration
from agm.experiments import TABLE_1
from agm.schedule import Schedule
from agm.step import Execution, GraphedStep, Networks, Update, build, stepper
from benchmarks.straightforward import Straightforward

VARIANTS: dict[str, dict[str, Any]] = {
    "straightforward": {},  # benchmarks.straightforward
    "eager": {},
    "channels_last": {"channels_last": True},
    "compile": {"compile": True},
    "compile_channels_last": {"compile": True, "channels_last": True},
    "graph_channels_last": {"graph": True, "channels_last": True},
    "graph_compile_channels_last": {"graph": True, "compile": True, "channels_last": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", default=list(TABLE_1), help="ORL configurations")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
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

    rows: list[dict[str, Any]] = []
    ceiling = 0.0
    print(f"{'layers':8}{'variant':28}{'images/s':>10}{'TFLOP/s':>10}{'share':>8}{'peak GiB':>10}{'warm-up s':>14}")
    for layers in arguments.layers:
        timed: dict[str, Any] = {}
        for variant in arguments.variants:
            config = _config(layers, arguments)
            execution = Execution(device=arguments.device, **VARIANTS[variant])
            before = _allocated()
            networks = build(config, execution)
            if variant == "straightforward":
                networks.generator.__class__ = Straightforward  # it differs in nothing but `iterate`
            device = networks.fabric.device
            update = stepper(networks, config.training, execution)
            ceiling = ceiling or matmul_ceiling(device, arguments.precision)
            start = time.perf_counter()
            _steps(networks, update, config, GraphedStep.WARM_UP + 2)
            first = time.perf_counter() - start
            timed[variant] = (networks, update, config, first, _peak(device) - before, [])
        for _ in range(arguments.repeats):
            for networks, update, config, _, _, rates in timed.values():
                start = time.perf_counter()
                _steps(networks, update, config, arguments.steps)
                rates.append(arguments.steps * arguments.batch_size / (time.perf_counter() - start))
        flop = training_flop(_config(layers, arguments))
        for variant, (_, _, _, first, peak, rates) in timed.items():
            rate = statistics.median(rates)
            row = {"layers": layers, "variant": variant, "schedule": arguments.schedule, "images_per_second": rate}
            row |= {"flops": rate * flop, "share_of_ceiling": rate * flop / ceiling, "peak_bytes": peak}
            rows.append(row | {"warm_up_seconds": first})
            share, memory = row["share_of_ceiling"], peak / 2**30
            speed = f"{rate:>10.1f}{rate * flop / 1e12:>10.2f}{share:>8.1%}"
            print(f"{layers:8}{variant:28}{speed}{memory:>10.2f}{first:>14.1f}", flush=True)
    settings = {key: value for key, value in vars(arguments).items() if key != "out"}
    result = {"settings": settings, "ceiling_flops": ceiling, "machine": machine.describe(device), "rows": rows}
    if arguments.out:
        files.write_json(arguments.out, result)


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
    size, batch, device = config.data.image_size, config.training.batch_size, networks.fabric.device
    networks.generator.train()
    low, target = (
        torch.rand(batch, 3, size // 2, size // 2, device=device),
        torch.rand(batch, 3, size, size, device=device),
    )
    for _ in range(count):
        update(low, target, torch.zeros(batch, device=device))
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        rates.append(2.0 * size**3 / (time.perf_counter() - start))
    return statistics.median(rates[3:])


def _allocated() -> int:
    """GPU memory in use so far; the peak counts from here."""
    if not torch.cuda.is_available():
        return 0
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # of the whole process: earlier rows count too


if __name__ == "__main__":
    main()
