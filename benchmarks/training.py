"""Training speed: images per second, and the share of what the machine's matrix product reaches.

    python -m benchmarks.training --width 64 --precision bf16 --out training.json

Two variants: `eager`, the step as it is written, and `library`, what training makes of it: on a GPU, a CUDA graph. The
variants take turns. TFLOP/s counts the generator's convolutions alone, three times the forward pass.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial

import torch

from agm import machine
from agm.config import DataConfig, GeneratorConfig, RunConfig, TrainingConfig
from agm.networks.complexity import macs_per_iteration
from agm.schedule import Schedule
from agm.training.step import Execution, GraphedStep, build, stepper, train_step
from benchmarks.measure import command_line, write
from study.experiments import TABLE_1


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--layers", nargs="+", default=list(TABLE_1), help="ORL configurations")
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
    print(f"{'layers':8}{'variant':12}{'images/s':>10}{'TFLOP/s':>10}{'share':>8}")
    for layers in arguments.layers:
        config = _config(layers, arguments)
        timed = {variant: Timed(config, variant, arguments.device) for variant in ("eager", "library")}
        for _ in range(arguments.repeats):
            for each in timed.values():
                each.time(arguments.steps)
        for variant, each in timed.items():
            rate = statistics.median(each.rates)
            flops = rate * training_flop(config)
            row = {"layers": layers, "variant": variant, "schedule": arguments.schedule, "images_per_second": rate}
            rows.append(row | {"flops": flops, "share_of_matmul": flops / ceiling})
            print(f"{layers:8}{variant:12}{rate:10.1f}{flops / 1e12:10.2f}{flops / ceiling:8.1%}", flush=True)
    write(arguments, "benchmarks.training", {"ceiling_flops": ceiling, "rows": rows}, device.type)


class Timed:
    """A network in training on random images, and how many of them it took in each second."""

    def __init__(self, config: RunConfig, variant: str, device: str) -> None:
        self.config, self.networks = config, build(config, Execution(device=device))
        self.update = stepper(self.networks) if variant == "library" else partial(train_step, self.networks)
        self.rates: list[float] = []
        self.networks.generator.train()
        self._steps(GraphedStep.WARM_UP + 2 if self.networks.device.type == "cuda" else 1)

    def time(self, steps: int) -> None:
        start = time.perf_counter()
        self._steps(steps)
        self.rates.append(steps * self.config.training.batch_size / (time.perf_counter() - start))

    def _steps(self, count: int) -> None:
        size, batch, device = self.config.data.image_size, self.config.training.batch_size, self.networks.device
        low, target = (torch.rand(batch, 3, side, side, device=device) for side in (size // 2, size))
        for _ in range(count):
            self.update(low, target, torch.zeros(batch, device=device))
        machine.synchronize(device)


def _config(layers: str, arguments: argparse.Namespace) -> RunConfig:
    training = TrainingConfig(
        schedule=arguments.schedule,
        batch_size=arguments.batch_size,
        precision=arguments.precision,
        critic_width=arguments.width,
    )
    data = DataConfig(image_size=arguments.image_size)
    return RunConfig(GeneratorConfig(layers=layers, width=arguments.width), data, training)


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


if __name__ == "__main__":
    main()
