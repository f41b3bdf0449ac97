"""Quality against time: our networks and what a user would pick instead, trained on the same images.

    python -m benchmarks.frontier rivals    # train the rivals: on the profile's images, as often, in the same order
    python -m benchmarks.frontier ours      # train those of our networks that are missing (`--list` only lists them)
    python -m benchmarks.frontier time      # on a machine that does nothing else
    python -m benchmarks.frontier join --out results/benchmarks/frontier.json

Each step goes on where it stopped. Rivals: MSE loss on [0, 1] (the mean over iterations), Adam without clipping, the
best of three learning rates by the validation PSNR of seed 0's last image. Ours are runs of `agm train`: one learning
rate, which the profile gives, an adversarial term of weight 0.001 beside the MSE, gradients clipped. All see each
training image equally often. Quality is `agm.evaluate`'s, on the test part: PSNR and SSIM of clamped RGB images, MSE of
unclamped ones, averaged over the images; ours with batch-norm statistics per iteration.

The JSON: `settings`; `run`, the configuration that ours vary; `timing`, by size: machine, rounds, and the load average
as it was begun; `command`; `rows`, one per network, seed and iteration:
- name, ours (or a rival), run (id of ours), seed, iteration (from 1)
- parameters; macs_per_pixel: multiply-accumulates of the convolutions so far, per pixel of the output, for an image of
  the trained size computed plainly
- psnr (dB), ssim, mse; bicubic here is torch's in float, a few hundredths of a dB from Pillow's on 8 bits
- ms: by side of the input in pixels, milliseconds until this iteration's image is there, batch 1 (None: not timed)
- learning_rate; training_seconds, on a machine that may have been busy
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from agm import data, files, machine, metrics, profiles, runs
from agm.anytime.engine import Engine
from agm.anytime.plain import Plain, Stepper, iterate
from agm.code import timed
from agm.config import RunConfig
from agm.data import Part
from agm.errors import AgmError
from agm.evaluate import Iterate
from agm.generator import SCALE, Generator
from agm.paths import home, runs_folder
from agm.schedule import NAMED, Schedule
from agm.step import Execution
from agm.train import batches, to_device, train
from benchmarks.baselines import RIVALS, Network
from benchmarks.measure import macs_per_pixel, parameters, quality, take_turns

STEPPERS: dict[str, Callable[[Generator], Stepper]] = {"plain": Plain, "engine": Engine}
NAMES = {str(Schedule.parse(text)): name for name, text in NAMED.items()}


def main() -> int:
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        return int(STEPS[arguments.step](arguments) or 0)
    except AgmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--role", default="cars", help="the data set's role")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rivals", nargs="*", default=list(RIVALS), choices=RIVALS)
    parser.add_argument("--rates", nargs="+", type=float, default=[3e-4, 1e-3, 3e-3], help="rivals' learning rates")
    parser.add_argument("--layers", nargs="*", default=["nnnr", "rrnr"], help="our ORL configurations")
    parser.add_argument("--schedules", nargs="+", default=["NOAEL", "A"])
    parser.add_argument("--widths", nargs="+", type=int, default=[8, 16, 32])
    parser.add_argument("--residual", nargs="+", default=["no", "yes"], choices=["no", "yes"])
    parser.add_argument("--runs", nargs="*", default=[], help="ids or folders of further runs of ours")
    parser.add_argument("--list", action="store_true", help="ours: only say what is missing")
    parser.add_argument("--engine", default="engine", choices=STEPPERS, help="time: what our networks run on")
    parser.add_argument("--sizes", nargs="+", type=int, default=[16, 64, 128], help="time: sides of the input")
    parser.add_argument("--rounds", type=int, default=20, help="time: at most so many, at least five")
    parser.add_argument("--out", type=Path, default=None, help="join: write the JSON here")
    return parser


# Training


def train_rivals(arguments: argparse.Namespace) -> None:
    """The sweep with the first seed, then the best learning rate with the others."""
    config, folder = _base(arguments), _folder(arguments)
    for name in arguments.rivals:
        first, *others = arguments.seeds
        for rate in arguments.rates if parameters(RIVALS[name]()) else arguments.rates[:1]:
            fit(name, rate, config.replace(seed=first), folder)
        for seed in others:
            fit(name, best_rate(name, first, folder), config.replace(seed=seed), folder)


def fit(name: str, rate: float, config: RunConfig, folder: Path) -> None:
    """Train one rival, unless its file is there."""
    path = folder / f"{name}-{rate:g}-{config.seed}.safetensors"
    if path.exists():
        return
    parts = data.splits(config.data)
    torch.manual_seed(config.seed)
    network = RIVALS[name]()
    start = time.perf_counter()
    learn(network, parts.train, rate, config, f"{name} {rate:g} seed {config.seed}")
    meta: dict[str, Any] = {"name": name, "learning_rate": rate, "seed": config.seed}
    meta |= {"seconds": time.perf_counter() - start, "machine": machine.describe(torch.device("cpu"))}
    meta |= {"validation": quality(network.iterate, parts.validation), "test": quality(network.iterate, parts.test)}
    files.write_tensors(path, network.state_dict(), files.finite(meta))


def learn(network: Network, part: Part, rate: float, config: RunConfig, label: str = "") -> None:
    """The profile's epochs over the images of `part`, in the order of our own runs."""
    if not parameters(network):
        return
    settings, device = config.training, torch.device("cpu")
    high, low = to_device(part.high, device), to_device(part.low, device)
    adam = torch.optim.Adam(network.parameters(), lr=rate)
    steps = settings.epochs * math.ceil(len(part) / settings.batch_size)
    with tqdm(total=steps, desc=label, unit="step", disable=None) as bar:
        for epoch in range(settings.epochs):
            for batch in batches(config.seed, epoch, len(part), settings.batch_size):
                index = torch.from_numpy(batch)
                target = high[index].float() / 255
                losses = [metrics.mse(image, target).mean() for image in network.iterate(low[index].float() / 255)]
                adam.zero_grad()
                torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
                adam.step()
                bar.update()


def trained(name: str, seed: int, folder: Path) -> dict[float, dict[str, Any]]:
    """What is recorded of a rival, by learning rate."""
    metas = (files.read_tensors(path)[1] for path in sorted(folder.glob(f"{name}-[0-9]*-{seed}.safetensors")))
    return {meta["learning_rate"]: meta for meta in metas}


def best_rate(name: str, seed: int, folder: Path) -> float:
    """By the validation PSNR of the last image; one that diverged comes last. Raises AgmError if none is trained."""
    found = trained(name, seed, folder)
    if not found:
        raise AgmError(f"{name} is not trained with seed {seed} yet; run the step `rivals`")
    return max(found, key=lambda rate: found[rate]["validation"]["psnr"][-1] or -math.inf)


def train_ours(arguments: argparse.Namespace) -> None:
    missing = [config for config in planned(arguments) if runs.find(config) is None]
    for number, config in enumerate(missing, 1):
        label = f"{number} of {len(missing)}: {label_of(config)} seed {config.seed}"
        print(f"{config.id} {label}", flush=True)
        if not arguments.list and train(config, runs_folder() / config.id, Execution(label=label)) == "interrupted":
            raise AgmError("interrupted; run the same command again to go on")


# Our networks


def planned(arguments: argparse.Namespace) -> list[RunConfig]:
    """The runs of ours to compare, whether or not they are there."""
    base = _base(arguments)
    grid = itertools.product(arguments.layers, arguments.schedules, arguments.widths, arguments.residual)
    return [
        base.replace(layers=layers, schedule=schedule, width=width, residual=residual == "yes", seed=seed)
        for layers, schedule, width, residual in grid
        for seed in arguments.seeds
    ]


def ours(arguments: argparse.Namespace) -> dict[str, list[tuple[RunConfig, runs.Run | None]]]:
    """By name, one entry per seed: what is compared, and its run where there is one; without any it is left out."""
    named: dict[str, list[tuple[RunConfig, runs.Run | None]]] = {}
    for config in planned(arguments):
        named.setdefault(label_of(config), []).append((config, runs.find(config)))
    named = {name: entries for name, entries in named.items() if any(run for _, run in entries)}
    for given in arguments.runs:
        folder = Path(given) if Path(given).is_dir() else runs_folder() / given
        run = runs.Run.read(folder)
        named.setdefault(f"{label_of(run.config)}-{run.config.id}", []).append((run.config, run))
    return named


def label_of(config: RunConfig) -> str:
    """Such as nnnr-16-A-residual."""
    schedule = NAMES.get(config.training.schedule, config.training.schedule)
    residual = ["residual"] if config.generator.residual else []
    return "-".join([config.generator.layers, str(config.generator.width), schedule, *residual])


def generator_of(config: RunConfig, run: runs.Run | None) -> Generator:
    """Trained where the weights are here; time and operations do not depend on them."""
    return run.generator() if run is not None and run.has_weights else Generator(config.generator).eval()


# Time


def time_all(arguments: argparse.Namespace) -> None:
    """One file per size: they take turns, so it is timed anew as a whole if a network was added or the code changed."""
    models: dict[str, Iterate] = {name: RIVALS[name]().eval().iterate for name in arguments.rivals}
    for name, entries in ours(arguments).items():
        config, run = entries[0]
        stepper = STEPPERS[arguments.engine](generator_of(config, run))
        models[name] = partial(iterate, stepper, Schedule.parse(config.training.schedule))
    for size in arguments.sizes:
        path = _times(arguments, size)
        if path.exists() and _covers(files.read_json(path), models):
            continue
        load = os.getloadavg()[0]
        seconds, rounds = take_turns(models, size, arguments.rounds)
        described = machine.describe(torch.device("cpu"), "benchmarks.frontier")
        files.write_json(path, {"seconds": seconds, "rounds": rounds, "load": load, "machine": described})


def _covers(timing: dict[str, Any], models: Mapping[str, Iterate]) -> bool:
    return set(models) <= set(timing["seconds"]) and timing["machine"].get("modules") == timed("benchmarks.frontier")


# Joining


def join(arguments: argparse.Namespace) -> None:
    """All that is there as one JSON, and as a table on the screen."""
    found = {size: files.read_json(path) for size in arguments.sizes if (path := _times(arguments, size)).exists()}
    rows = [*rival_rows(arguments), *our_rows(arguments)]
    for row in rows:
        seconds = {str(size): timing["seconds"].get(row["name"]) for size, timing in found.items()}
        row["ms"] = {size: s and 1000 * s[row["iteration"] - 1] for size, s in seconds.items()}
    timing = {str(size): {key: t[key] for key in ("machine", "load", "rounds")} for size, t in found.items()}
    settings = {key: value for key, value in vars(arguments).items() if key not in ("step", "out", "list")}
    result: dict[str, Any] = {"settings": settings, "run": _base(arguments).to_dict(), "timing": timing, "rows": rows}
    machines = [t["machine"] for t in found.values()]
    result |= {"command": _command(arguments), "machine": machines[0] if machines else None}
    print_table(rows)
    if arguments.out:
        files.write_json(arguments.out, files.finite(result))


def _command(arguments: argparse.Namespace) -> str:
    """The command line that makes all of this anew."""
    chosen = {"profile": arguments.profile, "role": arguments.role, "seeds": arguments.seeds}
    chosen |= {"layers": arguments.layers, "widths": arguments.widths, "residual": arguments.residual}
    parts = [[f"--{key}", *map(str, value if isinstance(value, list) else [value])] for key, value in chosen.items()]
    options = " ".join(itertools.chain.from_iterable(parts))
    steps = (f"python -m benchmarks.frontier {step} {options}" for step in STEPS)
    return " && ".join(steps) + " --out build/benchmarks/frontier.json"


def rival_rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    size, folder, rows = _base(arguments).data.image_size // SCALE, _folder(arguments), []
    for name in arguments.rivals:
        network = RIVALS[name]().eval()
        macs, rate = macs_per_pixel(network.iterate, size), best_rate(name, arguments.seeds[0], folder)
        for seed in arguments.seeds:
            meta = trained(name, seed, folder).get(rate)
            if meta is not None:
                about = {"name": name, "ours": False, "run": None, "seed": seed, "learning_rate": rate}
                about |= {"parameters": parameters(network), "training_seconds": meta["seconds"]}
                rows += _per_iteration(about, meta["test"], macs)
    return rows


def our_rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    size, rows = _base(arguments).data.image_size // SCALE, []
    for name, entries in ours(arguments).items():
        for config, run in entries:
            if run is None:
                continue
            network = Generator(config.generator).eval()
            macs = macs_per_pixel(partial(iterate, Plain(network), Schedule.parse(config.training.schedule)), size)
            about = {"name": name, "ours": True, "run": config.id, "seed": config.seed}
            about |= {"learning_rate": config.training.learning_rate, "parameters": parameters(network)}
            about |= {"training_seconds": run.summary["seconds"]}
            rows += _per_iteration(about, run.summary["test"]["iteration"], macs)
    return rows


def _per_iteration(about: dict[str, Any], test: dict[str, list[float]], macs: list[float]) -> list[dict[str, Any]]:
    return [
        about
        | {"iteration": t + 1, "macs_per_pixel": macs[t], **{name: test[name][t] for name in ("psnr", "ssim", "mse")}}
        for t in range(len(macs))
    ]


def print_table(rows: list[dict[str, Any]]) -> None:
    """Of each network and seed: the last iteration."""
    last = [a for a, b in itertools.zip_longest(rows, rows[1:]) if b is None or b["iteration"] <= a["iteration"]]
    for row in last:
        ms = "".join(f"{value or math.nan:9.2f}" for value in row["ms"].values())
        scores = f"{row['psnr'] or math.nan:7.2f}{row['ssim'] or math.nan:8.4f}"
        print(f"{row['name']:24}{row['seed']:2}{row['parameters']:9}{row['macs_per_pixel']:9.0f}{scores}{ms}")


def _base(arguments: argparse.Namespace) -> RunConfig:
    return profiles.load(arguments.profile).run(arguments.role)


def _folder(arguments: argparse.Namespace) -> Path:
    return home() / "build" / "frontier" / f"{arguments.profile}-{arguments.role}"


def _times(arguments: argparse.Namespace, size: int) -> Path:
    return home() / "build" / "frontier" / f"times-{arguments.engine}-{size}.json"


STEPS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "rivals": train_rivals,
    "ours": train_ours,
    "time": time_all,
    "join": join,
}

if __name__ == "__main__":
    sys.exit(main())
