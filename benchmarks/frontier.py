"""Quality against time: ours and what a user would pick instead, trained for the same time on the same photographs.

    python -m benchmarks.frontier train --minutes 20     # one thread; networks of --networks, all by default
    python -m benchmarks.frontier measure --minutes 20   # on a machine that does nothing else
    python -m benchmarks.frontier join --minutes 20 --out results/benchmarks/frontier.json

Each step goes on where it stopped. All are trained as the default network was, or the run that it went on from: its
photographs, crops, batches and average of the weights, L1, Adam, half a cosine. What differs: no gradient is clipped; a
budget of processor time takes the place of epochs; and the learning rate is the best of three, by the validation PSNR
of the last image after `--sweep-minutes` each, unless the whole training then ends worse than the short one did. `ours`
is the recorded default network, which had longer; `ours-same-time` is the same network trained from scratch as the
others are. One seed.

Quality is `standard_sets`'s: PSNR of the luma, dB, of Set5 and Set14 in --sets. Times are of Set5's own pictures, so
that quality and time are of the same ones: plain torch in 32 bits, batch 1, networks in turns, at most --rounds times.
All see zeros outside of the image.

The JSON: `settings`; `machine`; `command`; `networks`, each with
- name, ours (or a rival), run (id of the recorded one), parameters in the form that infers
- macs: multiply-adds of the convolutions until each iteration's image, per pixel of the input
- minutes: of training; steps; learning_rate; validation: dB of the sweep by learning rate (None: not trained here)
- psnr: by set and picture, of each iteration's image; ms: by picture of Set5, milliseconds until each is there
"""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from agm import data, files, machine, paths
from agm.anytime import standard_sets
from agm.anytime.latency import Times
from agm.anytime.stepper import iterate
from agm.anytime.upscaler import AnytimeUpscaler
from agm.config import GeneratorConfig, RunConfig
from agm.data import to_tensor
from agm.data.images import image_files
from agm.errors import AgmError
from agm.networks.complexity import count
from agm.networks.generator import Generator
from agm.runs import Run
from agm.schedule import Mask, Schedule
from agm.training.loop import batches, learning_rate, set_rate, to_device, trained
from agm.training.losses import visual_loss
from agm.training.step import follow
from benchmarks.baselines import RIVALS, Network
from benchmarks.measure import command_line, macs_per_pixel, quality, take_turns
from study.figures.frontier import OURS, SAME_TIME

TRAINED = (*(name for name in RIVALS if name != "bicubic"), SAME_TIME)
SETS = ("Set5", "Set14")
WHOLE = 4096
"""Side of a tile: every picture is one."""


def main() -> None:
    training: dict[str, Any] = {"minutes": 20.0, "sweep_minutes": 2.0, "rates": (3e-4, 1e-3, 3e-3), "model": None}
    parser = command_line(__doc__, **training, sets=paths.data_folder() / "benchmarks", threads=2, rounds=20)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--networks", nargs="+", default=list(TRAINED), choices=TRAINED, help="train: these alone")
    arguments = parser.parse_args()
    STEPS[arguments.step](arguments)


# Training


class Ours(Network):
    """The default network, untrained."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.config, self.generator = config, Generator(config.generator)

    def iterate(self, x: Tensor) -> Iterator[Tensor]:
        return self.generator.iterate(x, self.config.training.schedule)

    def drawn(self, x: Tensor, epoch: int, step: int) -> Iterator[Tensor]:
        """As in `agm train`, not always all of them."""
        for schedule in trained(self.config, epoch, step):
            yield from self.generator.iterate(x, schedule)


def train_all(arguments: argparse.Namespace) -> None:
    """Each network with each learning rate for a short time, then with the best one for the whole.

    Where that ends worse than the short training did, the rate was too high for so long: the next best takes its place.
    """
    torch.set_num_threads(1)
    config = chain(recorded(arguments))[0].config
    for name in arguments.networks:
        for rate in arguments.rates:
            fit(name, rate, arguments.sweep_minutes, config)
        while not chosen(name, arguments).exists():
            fit(name, best_rate(name, arguments), arguments.minutes, config)


def fit(name: str, rate: float, minutes: float, config: RunConfig) -> None:
    """Train one network, unless its file is there."""
    path = weights(name, rate, minutes)
    if path.exists():
        return
    parts = data.splits(config.data)
    torch.manual_seed(config.seed)
    network = Ours(config) if name == SAME_TIME else RIVALS[name]()
    network, steps = learn(network, minutes, config.replace(learning_rate=rate, loss="l1", decay="cosine"), name)
    psnr = quality(network.eval().iterate, parts.validation)["psnr"]
    meta = {"learning_rate": rate, "minutes": minutes, "steps": steps, "validation": psnr}
    kept: torch.nn.Module = network
    if isinstance(network, Ours):  # such as agm.load takes
        meta, kept = meta | {"kind": "generator", "config": config.to_dict()}, network.generator
    files.write_tensors(path, kept.state_dict(), files.finite(meta))
    print(f"{name} {rate:g}, {minutes:g} min: {steps} steps, {psnr[-1]:.2f} dB", flush=True)


def learn(network: Network, minutes: float, config: RunConfig, label: str = "") -> tuple[Network, int]:
    """Train for so many minutes of this process's time -> the average of the weights, and the number of steps."""
    settings, part, cpu = config.training, data.splits(config.data).train, torch.device("cpu")
    average, adam = copy.deepcopy(network), torch.optim.Adam(network.parameters())
    steps, begun = 0, time.process_time()
    bar = tqdm(desc=f"{label} {settings.learning_rate:g}", unit="step", disable=None)
    for epoch in itertools.count():
        high, low = (to_device(pixels, cpu) for pixels in part.epoch(config.seed, epoch))
        for step, batch in enumerate(batches(config.seed, epoch, part.per_epoch, settings.batch_size)):
            done = (time.process_time() - begun) / (60 * minutes)
            if done >= 1:
                return average, steps
            set_rate(adam, learning_rate(settings, done))
            x, target = (pixels[torch.from_numpy(batch)].float() / 255 for pixels in (low, high))
            images = torch.stack(list(network.drawn(x, epoch, step)))
            adam.zero_grad()
            visual_loss(images, target, "l1").backward()  # type: ignore[no-untyped-call]
            adam.step()
            follow(average, network, settings.average, steps)
            steps += 1
            bar.update()
    raise AssertionError


def weights(name: str, rate: float, minutes: float) -> Path:
    return paths.home() / "build" / "frontier" / f"{name}-{rate:g}-{minutes:g}.safetensors"


def chosen(name: str, arguments: argparse.Namespace) -> Path:
    """The weights after the whole training with the best rate."""
    return weights(name, best_rate(name, arguments), arguments.minutes)


def swept(name: str, arguments: argparse.Namespace) -> dict[float, float]:
    """Validation PSNR of the last image in dB, by learning rate."""
    return {rate: validated(name, rate, arguments.sweep_minutes) for rate in arguments.rates}


def validated(name: str, rate: float, minutes: float) -> float:
    """Validation PSNR of the last image in dB; minus infinity for a network that diverged."""
    psnr = files.read_tensors(weights(name, rate, minutes))[1]["validation"][-1]
    return -np.inf if psnr is None else psnr


def best_rate(name: str, arguments: argparse.Namespace) -> float:
    """The best rate by the short training. A rate is left out if the whole training ended worse than the short one."""
    found = swept(name, arguments)
    kept = [
        rate
        for rate, psnr in found.items()
        if not weights(name, rate, arguments.minutes).exists() or validated(name, rate, arguments.minutes) >= psnr
    ]
    return max(kept or found, key=found.__getitem__)


def recorded(arguments: argparse.Namespace) -> Run:
    """The run of our default network."""
    return Run.read(paths.weights(arguments.model).parent)


def chain(run: Run) -> list[Run]:
    """A run and those whose weights it went on from, the first one first."""
    start = run.config.training.start
    return [*(chain(Run.read(paths.weights(start).parent)) if start else ()), run]


# Measuring


class Alone:
    """A network of `benchmarks.baselines` as a stepper: what `AnytimeUpscaler` runs."""

    name = "plain"

    def __init__(self, network: Network) -> None:
        self.network = network.for_inference()

    def start(self, x: Tensor) -> Iterator[Tensor]:
        return self.network.iterate(x)

    @torch.inference_mode()
    def step(self, progress: Iterator[Tensor], mask: Mask) -> Tensor:
        return next(progress)


def upscaler(name: str, arguments: argparse.Namespace) -> AnytimeUpscaler:
    """Ours as `agm upscale` has it; a rival likewise, with as many iterations as it gives images."""
    if name in (OURS, SAME_TIME):
        path = recorded(arguments).folder if name == OURS else chosen(name, arguments)
        return AnytimeUpscaler.load(path, tile=WHOLE, timed=False, second_look=False)  # it would help rivals, too
    network = RIVALS[name]()
    if name in TRAINED:
        network.load_state_dict(files.read_tensors(chosen(name, arguments))[0])
    images = sum(1 for _ in network.iterate(torch.zeros(1, 3, 8, 8)))
    schedule = Schedule.parse(f"xxxx ({images})")
    return AnytimeUpscaler(Alone(network), GeneratorConfig(), schedule, Times({}), WHOLE)


def measure_all(arguments: argparse.Namespace) -> None:
    """Quality by network and set, time by picture: a file each."""
    torch.set_num_threads(1)
    upscalers = {name: upscaler(name, arguments) for name in ("bicubic", *TRAINED, OURS)}
    for (name, one), folder in itertools.product(upscalers.items(), SETS):
        if not (path := _measured(arguments, f"{name}-{folder}")).exists():
            rows = standard_sets.measure(one, arguments.sets / folder)
            found = rows[rows.iteration > 0].groupby("image", sort=False).psnr_luma.apply(list)
            files.write_json(path, found.to_dict())
    torch.set_num_threads(arguments.threads)
    models = {name: partial(iterate, one.stepper, one.schedule) for name, one in upscalers.items()}
    for picture in image_files(arguments.sets / SETS[0]):
        if not (path := _measured(arguments, f"times-{picture.name}")).exists():
            x = to_tensor(standard_sets.read_pair(picture)[1][None].copy())
            seconds = take_turns(models, x, arguments.rounds)
            described = machine.describe(torch.device("cpu"), "benchmarks.frontier")
            files.write_json(path, {"seconds": seconds, "machine": described})


def _measured(arguments: argparse.Namespace, name: str) -> Path:
    return paths.home() / "build" / "frontier" / f"measured-{arguments.minutes:g}" / f"{name}.json"


# Joining


def join(arguments: argparse.Namespace) -> None:
    """All as one JSON, and as a table on the screen."""
    times = {
        path.name: files.read_json(_measured(arguments, f"times-{path.name}"))
        for path in image_files(arguments.sets / SETS[0])
    }
    networks = [describe(name, times, arguments) for name in ("bicubic", *TRAINED, OURS)]
    settings = {name: getattr(arguments, name) for name in ("minutes", "sweep_minutes", "rates")}
    options = f"--minutes {arguments.minutes:g} --sweep-minutes {arguments.sweep_minutes:g}"
    options += f" --model {recorded(arguments).config.id}"
    command = " && ".join(f"python -m benchmarks.frontier {step} {options}" for step in STEPS)
    result: dict[str, Any] = {"settings": settings, "command": f"{command} --out build/benchmarks/frontier.json"}
    result["machine"] = next(iter(times.values()))["machine"]
    if arguments.out:
        files.write_json(arguments.out, files.finite(result | {"networks": networks}))
    for network in networks:
        psnr, ms = (np.mean(list(found.values()), axis=0) for found in (network["psnr"]["Set5"], network["ms"]))
        shown = "".join(f"{a:9.2f} dB {b:7.1f} ms" for a, b in zip(psnr, ms, strict=True))
        print(f"{network['name']:16}{network['parameters']:8}{shown}")


def describe(name: str, times: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    run = recorded(arguments)
    about: dict[str, Any] = {"name": name, "ours": name in (OURS, SAME_TIME)}
    about |= dict.fromkeys(("run", "minutes", "steps", "learning_rate", "validation"))
    if name == OURS:
        minutes = sum(one.summary["seconds"] for one in chain(run)) / 60
        about |= {"run": run.config.id, "minutes": minutes, "learning_rate": run.config.training.learning_rate}
    elif name in TRAINED:
        meta = files.read_tensors(chosen(name, arguments))[1]
        about |= {key: meta[key] for key in ("minutes", "steps", "learning_rate")}
        about["validation"] = {f"{rate:g}": psnr for rate, psnr in swept(name, arguments).items()}
    network = (Ours(run.config) if about["ours"] else RIVALS[name]()).for_inference()
    about |= {"parameters": count(network), "macs": macs_per_pixel(network.iterate, 16)}
    about["psnr"] = {folder: files.read_json(_measured(arguments, f"{name}-{folder}")) for folder in SETS}
    ms = {picture: [1000 * moment for moment in found["seconds"][name]] for picture, found in times.items()}
    return about | {"ms": ms}


STEPS: dict[str, Callable[[argparse.Namespace], None]] = {"train": train_all, "measure": measure_all, "join": join}

if __name__ == "__main__":
    try:
        main()
    except AgmError as error:
        sys.exit(f"error: {error}")
