"""Training: the loop of Section II-A with the losses of II-E and the settings of III-A.

A run can be stopped at any moment and goes on from its last checkpoint. On the CPU it then gives the same bytes as an
uninterrupted run: everything random is drawn anew from (seed, epoch, step), so no generator state needs to be kept.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from agm import data, files, machine
from agm.code_version import code_hash
from agm.config import RunConfig, Statistics, TrainingConfig
from agm.data import Part, Splits
from agm.data.images import Pixels
from agm.errors import AgmError, enough_memory
from agm.networks.complexity import count
from agm.networks.generator import Generator
from agm.paths import CHECKED, CHECKPOINT, CONFIG, METRICS_FILE, SUMMARY, TEST_FILE, WEIGHTS, weights_of
from agm.runs import COLUMNS, Run, load_trained, made_on_these_images
from agm.schedule import Schedule, candidates, paper_schedules, sandwich
from agm.training import checkpoint
from agm.training.calibrate import precise
from agm.training.checkpoint import Standing
from agm.training.evaluate import BATCH, METRICS, Quality, bicubic_baseline, evaluate, time_iterations
from agm.training.step import Execution, Networks, build, follow, stepper

TIMED_SECONDS = 10.0
"""For so long a run times its iterations after training."""
logger = logging.getLogger(__name__)


def train(config: RunConfig, folder: Path, execution: Execution | None = None) -> Run | None:
    """Train one run, or go on with it, in `folder`. Only one process at a time does.

    Returns None if it was stopped and a further call will go on. A run whose training loss stopped being finite is
    recorded like a finished one, as "diverged", since instability is a result. Raises TimeoutError if another process
    is at it and `execution` says not to wait; AgmError.
    """
    execution = execution or Execution()
    started, lock = time.monotonic(), folder.with_name(f".{folder.name}.lock")
    if (folder / SUMMARY).exists():
        return _finished(folder, lock)
    data.locate(config.data.dataset)  # a misspelt name should leave nothing behind
    sizes = f"batch_size {config.training.batch_size}, width {config.generator.width}"
    hint = f"lower one of {sizes}, image_size {config.data.image_size}; {folder} keeps its last checkpoint"
    with enough_memory(hint), contextlib.ExitStack() as held:
        try:
            held.enter_context(files.locked(lock, execution.time_budget if execution.wait else 0))
        except TimeoutError:
            if execution.wait:
                return None
            raise
        left = execution.time_budget - (time.monotonic() - started)
        if not (folder / SUMMARY).exists() and not _train(config, folder, replace(execution, time_budget=left)):
            return None
        return _finished(folder, lock)


def _train(config: RunConfig, folder: Path, execution: Execution) -> bool:
    """Train, in the only process that is at this run, until it ends or has to stop -> whether it ended."""
    settings, parts = config.training, data.splits(config.data)
    files.clear_partial(folder)
    files.write_json(folder / CONFIG, config.to_dict())

    networks = build(config, execution)
    if settings.start:
        _start(networks, config)
    device, update = networks.device, stepper(networks)
    losses = torch.zeros(2, device=device)  # sums over the epoch so far: visual loss, critic loss
    good = copy.deepcopy(networks.result.state_dict())  # the generator after the last whole epoch
    standing = checkpoint.resume(folder / CHECKPOINT, config, networks, losses, good)
    _note_origin(standing, parts.fingerprint, folder)
    started = time.monotonic() - standing.seconds

    def save() -> float:
        standing.seconds = time.monotonic() - started
        checkpoint.save(folder / CHECKPOINT, config, networks, losses, good, standing)
        return time.monotonic()

    status, saved = "finished", time.monotonic()
    steps = math.ceil(parts.train.per_epoch / settings.batch_size)
    bar = tqdm(
        total=settings.epochs * steps,
        initial=standing.epoch * steps + standing.step,
        desc=execution.label or f"{config.generator.layers} {config.id}",
        unit="step",
        disable=None,  # none where nobody looks
    )
    networks.generator.train()
    with stopping(execution.time_budget) as stop, bar:
        while standing.epoch < settings.epochs:
            high, low = (to_device(pixels, device) for pixels in parts.train.epoch(config.seed, standing.epoch))
            order = batches(config.seed, standing.epoch, parts.train.per_epoch, settings.batch_size)
            for step in range(standing.step, steps):
                if stop():
                    save()
                    return False
                if time.monotonic() - saved > execution.checkpoint_interval:
                    saved = save()
                # Without waiting for the device, which may still be busy with the step before.
                index = torch.from_numpy(order[step]).to(device, non_blocking=True)
                share = np.random.default_rng([config.seed, standing.epoch, step]).random(len(index), dtype=np.float32)
                mix = torch.from_numpy(share).to(device, non_blocking=True)
                schedules = trained(config, standing.epoch, step)
                done = standing.epoch * steps + step
                set_rate(networks.optimizer, learning_rate(settings, done / (settings.epochs * steps)))
                losses += update(low[index].float() / 255, high[index].float() / 255, mix, schedules)
                if networks.average is not None:
                    follow(networks.average, networks.generator, settings.average, done)
                standing.step = step + 1
                bar.update()
            training_loss = losses.div(steps).tolist()
            if not all(map(math.isfinite, training_loss)):
                where = f"{folder}: the loss is not finite in epoch {standing.epoch + 1}"
                logger.warning("%s; recorded as diverged, in the state after the epoch before", where)
                networks.result.load_state_dict(good)
                _write_metrics(folder, standing)
                status = "diverged"
                break
            standing.epoch, standing.step = standing.epoch + 1, 0
            losses.zero_()
            good = copy.deepcopy(networks.result.state_dict())
            rows = _validate(networks.result, parts, config, standing.epoch, training_loss)
            standing.rows += rows
            _write_metrics(folder, standing)
            saved = save()
            own = [row["mse"] for row in rows if row["statistics"] == config.generator.statistics]
            bar.set_postfix(validation_mse=f"{np.mean(own):.4f}")
            if stop():  # after the last epoch as well: the tests take a while
                return False
    _finish(config, folder, status, networks, parts, standing)
    return True


@contextlib.contextmanager
def stopping(budget: float) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether to stop: SIGTERM or SIGINT came, or `budget` seconds are over.

    Restores the signal handlers at the end.
    """
    deadline, came, previous = time.monotonic() + budget, list[int](), {}
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):  # not in the main thread: no signals to catch
            previous[number] = signal.signal(number, lambda number, _: came.append(number))
    try:
        yield lambda: bool(came) or time.monotonic() > deadline
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _start(networks: Networks, config: RunConfig) -> None:
    """Give the generator the final weights of another run. Raises AgmError if they are not here or do not fit."""
    start = config.training.start
    if (path := weights_of(start)) is None:
        raise AgmError(f"start={start}: no run of this id has its weights here")
    trained, other = load_trained(path)
    if other.generator != config.generator:
        raise AgmError(f"start={start}: that run's network is another; give this one the same settings")
    for network in (networks.generator, networks.result):
        network.load_state_dict(trained.state_dict())


def _note_origin(standing: Standing, images: str, folder: Path) -> None:
    """Note the run's images and code. Raises AgmError if it was begun on other images."""
    if standing.images not in ("", images):
        raise AgmError(f"{folder}: was begun on other images of this name; bring them back, or delete it to start anew")
    standing.images = images
    standing.codes = list(dict.fromkeys([*standing.codes, code_hash()]))


def _finished(folder: Path, lock: Path) -> Run:
    """A run that ended; removes its checkpoint and lock. Raises AgmError if it is of other images."""
    run = Run.read(folder)
    made_on_these_images(run)
    for path in (folder / CHECKPOINT, lock):  # here, since a kill may have come right after the summary
        with contextlib.suppress(OSError):
            path.unlink()
    return run


def batches(seed: int, epoch: int, images: int, size: int) -> list[np.ndarray]:
    """The indices of each mini-batch of an epoch; the last one may be smaller."""
    order = np.random.default_rng([seed, epoch]).permutation(images)
    return [order[start : start + size] for start in range(0, images, size)]


def trained(config: RunConfig, epoch: int, step: int) -> tuple[Schedule, ...]:
    """The schedules of one training step; the critic judges the first one's last image."""
    if config.training.sampling == "fixed":
        return (config.schedule,)
    length, random = len(config.schedule), np.random.default_rng([config.seed, epoch, step, 1])
    if config.training.sampling == "any":
        return sandwich(length, random)
    return (config.schedule.take(min((1, 2, length)[random.integers(3)], length)),)


def learning_rate(settings: TrainingConfig, done: float) -> float:
    """The learning rate after a share `done` of all steps."""
    half_cosine = (1 + math.cos(math.pi * done)) / 2 if settings.decay == "cosine" else 1.0
    return settings.learning_rate * half_cosine


def set_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def to_device(pixels: np.ndarray, device: torch.device) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) uint8 on the device: a whole set of small images fits there."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().to(device)


def tested(
    generator: Generator, part: Part, config: RunConfig, training: Pixels
) -> tuple[Generator, dict[Statistics, Quality]]:
    """A copy of the network with precise statistics of the `training` images (inputs), and its quality on a part's
    images under every kind of statistics that it has."""
    schedule, precision = config.schedule, config.training.precision
    generator = precise(generator, training, schedule, precision)
    return generator, {k: evaluate(generator, part, schedule, k, precision) for k in config.generator.readings}


def _validate(
    generator: Generator, parts: Splits, config: RunConfig, epoch: int, training_loss: list[float]
) -> list[dict[str, Any]]:
    """One row per kind of batch statistics and iteration. Training is the same for all kinds.

    Precise statistics are here of one batch, which takes a tenth of an epoch where that has 400 images. Of all training
    images they would be within two hundredths of the same MSE.
    """
    _, found = tested(generator, parts.validation, config, parts.train.low[:BATCH])
    losses = dict(zip(("visual_loss", "critic_loss"), training_loss, strict=True))
    return [
        {"epoch": epoch, "statistics": kind, "iteration": t, **dict(zip(METRICS, values, strict=True)), **losses}
        for kind, quality in found.items()
        for t, values in enumerate(zip(*quality.per_iteration().values(), strict=True), 1)
    ]


def _write_metrics(folder: Path, standing: Standing) -> None:
    files.write_text(folder / METRICS_FILE, pd.DataFrame(standing.rows, columns=list(COLUMNS)).to_csv(index=False))


def _finish(
    config: RunConfig, folder: Path, status: str, networks: Networks, parts: Splits, standing: Standing
) -> None:
    """Test, then write the weights and, last of all, the summary: a run that has one is complete."""
    networks.result.load_state_dict(rounded(networks.result))  # what is tested is what is kept
    generator, tests = tested(networks.result, parts.test, config, parts.train.low)
    plans = (config.schedule, *paper_schedules(len(config.schedule)))
    timed = {str(plan): (generator, plan) for plan in plans}
    times = time_iterations(timed, config.data.image_size, limit=TIMED_SECONDS)
    counts = {name: len(part) for name, part in parts.parts.items()}
    summary = {
        "id": config.id,
        "status": status,
        "epochs": standing.epoch,
        "seconds": standing.seconds,
        "parameters": count(generator),
        "test": {kind: quality.per_iteration() for kind, quality in tests.items()},
        "bicubic": {"validation": bicubic_baseline(parts.validation), "test": bicubic_baseline(parts.test)},
        "seconds_until_iteration": times[str(config.schedule)],
        "seconds_by_schedule": times,  # NOAEL, A and B as well, in turns: their ratios need no other run
        "data": {"fingerprint": standing.images, "stand_in": parts.stand_in, "images": counts},
        "machine": machine.describe(networks.device) | {"code": "+".join(standing.codes)},
    }
    if config.training.sampling == "any":
        summary["schedules"] = _scores(generator, parts.validation, config)
    files.write_tensors(folder / TEST_FILE, {kind: test.mse for kind, test in tests.items()}, {"id": config.id})
    save_weights(folder / WEIGHTS, generator, config)
    summary["files"] = {name: files.sha256((folder / name).read_bytes()) for name in CHECKED}
    files.write_json(folder / SUMMARY, files.seal(files.finite(summary)))


def _scores(generator: Generator, part: Part, config: RunConfig) -> dict[str, dict[str, list[float]]]:
    """PSNR by kind of batch statistics, schedule and iteration: what deadlines are planned by."""
    return {
        kind: {
            str(schedule): evaluate(generator, part, schedule, kind, config.training.precision).per_iteration()["psnr"]
            for schedule in candidates(config.generator.iterations)
        }
        for kind in config.generator.readings
    }


def rounded(generator: Generator) -> dict[str, Tensor]:
    """Its weights, convolutions in half precision: no PSNR of the default network changed by a thousandth of a decibel.

    Norms and their statistics are small and need their range; so does what has grown too large.
    """
    weights = generator.state_dict()
    halves = {name: tensor.half() for name, tensor in weights.items() if tensor.dim() == 4}
    return weights | {name: tensor for name, tensor in halves.items() if tensor.isfinite().all()}


def save_weights(path: Path, generator: Generator, config: RunConfig) -> None:
    """Weights with the run's configuration inside, so that `agm.load` can rebuild the network."""
    files.write_tensors(path, rounded(generator), {"kind": "generator", "config": config.to_dict()})
