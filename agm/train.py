"""Training: the loop of Section II-A with the losses of II-E and the settings of III-A.

A run can be stopped at any moment and goes on from its last checkpoint. On the CPU it then gives the same bytes as an
uninterrupted run: everything random is drawn anew from (seed, epoch, step), so no generator state needs to be kept.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from agm import checkpoint, data, files, machine
from agm.checkpoint import Progress
from agm.config import STATISTICS, RunConfig, TrainingConfig
from agm.critic import Critic, clip_weights
from agm.data import Part, Splits
from agm.errors import AgmError
from agm.evaluate import METRICS, bicubic_baseline, evaluate, time_iterations
from agm.generator import Generator
from agm.layers import ConvLSTM, lstm_update
from agm.losses import adversarial_loss, critic_loss, gradient_penalty, visual_loss
from agm.schedule import Schedule

CONFIG, SUMMARY, WEIGHTS, CHECKPOINT = "config.json", "summary.json", "generator.safetensors", "checkpoint.safetensors"
METRICS_FILE, TEST_FILE = "metrics.csv", "test.safetensors"


@dataclass(frozen=True)
class Execution:
    """How a run is carried out: nothing here is part of a run's identity.

    `device`: auto, cpu or cuda. `compile`: fuse the gate equations of ConvLSTM layers. `graph`: on a GPU, record the
    training step once as a CUDA graph and replay it, instead of launching its thousands of kernels each time.
    `time_budget`: seconds until the run stops and saves itself.
    `checkpoint_interval`: seconds between checkpoints within an epoch; one is written after every epoch anyway.
    `label`: what the progress bar is headed with.
    """

    device: str = "auto"
    channels_last: bool = False
    compile: bool = False
    time_budget: float = math.inf
    checkpoint_interval: float = 120.0
    progress: bool = True
    label: str = ""
    graph: bool = False


class Stop:
    """Says when to stop: SIGTERM or SIGINT came, or the time budget is spent. Restores the signal handlers on exit."""

    def __init__(self, budget: float) -> None:
        self.deadline = time.monotonic() + budget
        self.reason = ""

    def __enter__(self) -> Stop:
        self._previous = {}
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._previous[number] = signal.signal(number, self._on_signal)
            except ValueError:  # not in the main thread: no signals to catch
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self.reason = signal.Signals(number).name

    def __bool__(self) -> bool:
        if not self.reason and time.monotonic() > self.deadline:
            self.reason = "time budget"
        return bool(self.reason)


def train(config: RunConfig, folder: Path, execution: Execution | None = None) -> str:
    """Train one run, or go on with it, in `folder`.

    Returns "finished"; "diverged" if the training loss stopped being finite (recorded like a finished run, since
    instability is a result); or "interrupted" if it was stopped and a further call will go on. Raises AgmError.
    """
    execution = execution or Execution()
    if (folder / SUMMARY).exists():
        return str(files.read_json(folder / SUMMARY)["status"])
    settings, schedule = config.training, Schedule.parse(config.training.schedule)
    parts = data.splits(config.data)
    files.write_json(folder / CONFIG, config.to_dict())

    networks = build(config, execution)
    device = networks.fabric.device
    losses = torch.zeros(2, device=device)  # sums over the epoch so far: visual loss, critic loss
    progress = checkpoint.resume(folder / CHECKPOINT, config, networks, losses)
    started, saved = time.monotonic() - progress.seconds, time.monotonic()

    def save() -> None:
        progress.seconds = time.monotonic() - started
        checkpoint.save(folder / CHECKPOINT, config, networks, losses, progress)

    high, low = (to_device(pixels, device) for pixels in (parts.train.high, parts.train.low))
    update = stepper(networks, settings, execution)
    steps = math.ceil(len(parts.train) / settings.batch_size)
    bar = tqdm(
        total=settings.epochs * steps,
        initial=progress.epoch * steps + progress.step,
        desc=execution.label or f"{config.generator.layers} {config.id}",
        unit="step",
        disable=None if execution.progress else True,
    )
    networks.generator.train()
    with Stop(execution.time_budget) as stop, bar:
        while progress.epoch < settings.epochs:
            order = batches(config.seed, progress.epoch, len(parts.train), settings.batch_size)
            for step, batch in enumerate(order):
                if step < progress.step:
                    continue
                if stop:
                    save()
                    return "interrupted"
                if time.monotonic() - saved > execution.checkpoint_interval:
                    save()
                    saved = time.monotonic()
                # Without waiting for the device, which may still be busy with the step before.
                index = torch.from_numpy(batch).to(device, non_blocking=True)
                mix = _mix(config.seed, progress.epoch, step, len(batch)).to(device, non_blocking=True)
                losses += update(low[index].float() / 255, high[index].float() / 255, mix)
                progress.step = step + 1
                bar.update()
            training_loss = losses.div(steps).tolist()
            if not all(map(math.isfinite, training_loss)):
                return _finish(config, folder, "diverged", networks.generator, parts, schedule, progress, device)
            progress.rows += _validate(
                networks.generator, parts.validation, schedule, config, progress.epoch + 1, training_loss
            )
            progress.epoch, progress.step = progress.epoch + 1, 0
            losses.zero_()
            _write_metrics(folder, progress)
            save()
            saved = time.monotonic()
            bar.set_postfix(validation_mse=f"{_validation_mse(progress, config):.4f}")
    return _finish(config, folder, "finished", networks.generator, parts, schedule, progress, device)


def train_step(networks: Networks, low: Tensor, target: Tensor, settings: TrainingConfig, mix: Tensor) -> Tensor:
    """One update of both networks. low: (N, 3, H, W), target: (N, 3, 2H, 2W); mix: (N,) for the gradient penalty.

    Returns the visual and the critic loss, (2,), without waiting for the device.
    """
    critic = networks.wrapped_critic
    images = networks.wrapped_generator(low, settings.schedule)  # (T, N, 3, 2H, 2W)

    # L_D, on the last iteration's image (II-E)
    critic.requires_grad_(True)
    fake = images[-1].detach()
    loss_d = critic_loss(critic(target), critic(fake), settings.signs)
    if settings.lipschitz == "penalty":
        loss_d = loss_d + settings.penalty_weight * gradient_penalty(critic, target, fake, mix)
    _update(networks.fabric, critic, networks.critic_optimizer, loss_d, settings)
    if settings.lipschitz == "clipping":
        clip_weights(networks.critic, settings.weight_clip)

    # L_G = L_G_VIS + adversarial term (II-E)
    critic.requires_grad_(False)
    visual = visual_loss(images, target)
    adversarial = adversarial_loss(critic(images[-1]), settings.adversarial_weight, settings.signs)
    _update(networks.fabric, networks.wrapped_generator, networks.optimizer, visual + adversarial, settings)
    return torch.stack([visual.detach(), loss_d.detach()])


Update = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(low, target, mix) -> losses: `train_step` without its other arguments."""


def stepper(networks: Networks, settings: TrainingConfig, execution: Execution) -> Update:
    """`train_step`, replayed from a CUDA graph if `execution` asks for that and there is a GPU."""
    if execution.graph and networks.fabric.device.type == "cuda":
        return GraphedStep(networks, settings)
    return lambda low, target, mix: train_step(networks, low, target, settings, mix)


class GraphedStep:
    """`train_step` as a CUDA graph. The first steps, and batches that are not full, run as usual."""

    WARM_UP = 3

    def __init__(self, networks: Networks, settings: TrainingConfig) -> None:
        self.networks, self.settings = networks, settings
        self.stream = torch.cuda.Stream(networks.fabric.device)  # type: ignore[no-untyped-call]
        self.graph: torch.cuda.CUDAGraph | None = None
        self.steps = 0

    def __call__(self, low: Tensor, target: Tensor, mix: Tensor) -> Tensor:
        if len(low) != self.settings.batch_size:
            return train_step(self.networks, low, target, self.settings, mix)
        if self.steps < self.WARM_UP:
            self.steps += 1
            current = torch.cuda.current_stream(self.stream.device)
            self.stream.wait_stream(current)
            with torch.cuda.stream(self.stream):
                losses = train_step(self.networks, low, target, self.settings, mix)
            current.wait_stream(self.stream)
            return losses
        if self.graph is None:
            self.inputs = (low.clone(), target.clone(), mix.clone())
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, stream=self.stream):
                self.losses = train_step(self.networks, *self.inputs[:2], self.settings, self.inputs[2])
        for own, given in zip(self.inputs, (low, target, mix), strict=True):
            own.copy_(given)
        self.graph.replay()
        return self.losses


@dataclass(frozen=True)
class Networks:
    """The two networks, plain and as Fabric wraps them, with their optimizers."""

    fabric: Fabric
    generator: Generator
    critic: Critic
    wrapped_generator: Any
    wrapped_critic: Any
    optimizer: Any
    critic_optimizer: Any


def build(config: RunConfig, execution: Execution) -> Networks:
    """Networks with the initial weights that the seed decides, on their device."""
    settings = config.training
    fabric = _fabric(execution.device, settings.precision)
    torch.manual_seed(config.seed)
    generator, critic = Generator(config.generator), Critic(settings, config.data.image_size)
    if execution.channels_last:
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        critic.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if execution.compile:
        # The whole step would be compiled anew for every iteration, since each has batch statistics of its own.
        compiled = torch.compile(lstm_update)
        for module in generator.modules():
            if isinstance(module, ConvLSTM):
                module.training_update = compiled
    adam: dict[str, Any] = {"lr": settings.learning_rate, "eps": settings.adam_epsilon}
    adam["capturable"] = execution.graph and fabric.device.type == "cuda"
    wrapped_generator, optimizer = fabric.setup(generator, torch.optim.Adam(generator.parameters(), **adam))
    wrapped_critic, critic_optimizer = fabric.setup(critic, torch.optim.Adam(critic.parameters(), **adam))
    return Networks(fabric, generator, critic, wrapped_generator, wrapped_critic, optimizer, critic_optimizer)


def batches(seed: int, epoch: int, images: int, size: int) -> Iterator[np.ndarray]:
    """The indices of each mini-batch of an epoch; the last one may be smaller."""
    order = np.random.default_rng([seed, epoch]).permutation(images)
    return (order[start : start + size] for start in range(0, images, size))


def to_device(pixels: np.ndarray, device: torch.device) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) uint8 on the device: a whole set of small images fits there."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().to(device)


def _fabric(device: str, precision: str) -> Fabric:
    if device not in ("auto", "cpu", "cuda"):
        raise AgmError(f"unknown device {device!r} (known: auto, cpu, cuda)")
    if device == "cuda" and not torch.cuda.is_available():
        raise AgmError("device 'cuda' was asked for, but torch sees no GPU; use --device cpu")
    accelerator = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    if accelerator == "cpu" and precision == "bf16":
        # Some virtual machines offer AMX and then refuse its instructions, which kills the process.
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    return Fabric(accelerator=accelerator, devices=1, precision="bf16-mixed" if precision == "bf16" else "32-true")


def _mix(seed: int, epoch: int, step: int, size: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng([seed, epoch, step]).random(size, dtype=np.float32))


def _update(fabric: Fabric, module: Any, optimizer: Any, loss: Tensor, settings: TrainingConfig) -> None:
    optimizer.zero_grad()
    fabric.backward(loss)
    fabric.clip_gradients(module, optimizer, max_norm=settings.gradient_clip, error_if_nonfinite=False)
    optimizer.step()


def _validate(
    generator: Generator, part: Part, schedule: Schedule, config: RunConfig, epoch: int, training_loss: list[float]
) -> list[dict[str, Any]]:
    """One row per kind of batch statistics and iteration. Training is the same for all three kinds."""
    rows = []
    for kind in STATISTICS:
        quality = evaluate(generator, part, schedule, kind, config.training.precision).per_iteration()
        for t in range(len(schedule)):
            row: dict[str, Any] = {"epoch": epoch, "statistics": kind, "iteration": t + 1}
            row |= {name: quality[name][t] for name in METRICS}
            rows.append(row | {"visual_loss": training_loss[0], "critic_loss": training_loss[1]})
    return rows


def _validation_mse(progress: Progress, config: RunConfig) -> float:
    last = [
        row["mse"]
        for row in progress.rows
        if row["epoch"] == progress.epoch and row["statistics"] == config.generator.statistics
    ]
    return float(np.mean(last))


def _write_metrics(folder: Path, progress: Progress) -> None:
    files.write_text(folder / METRICS_FILE, pd.DataFrame(progress.rows).to_csv(index=False))


def _finish(
    config: RunConfig,
    folder: Path,
    status: str,
    generator: Generator,
    parts: Splits,
    schedule: Schedule,
    progress: Progress,
    device: torch.device,
) -> str:
    """Test, then write the weights and, last of all, the summary: a run that has one is complete."""
    if status == "diverged":
        # What is left is the last good state: the checkpoint after the last whole epoch, if there was one.
        if (folder / CHECKPOINT).exists():
            tensors, _ = files.read_tensors(folder / CHECKPOINT)
            generator.load_state_dict(checkpoint.with_prefix(tensors, "generator."))
        _write_metrics(folder, progress)
    tests = {kind: evaluate(generator, parts.test, schedule, kind, config.training.precision) for kind in STATISTICS}
    times = time_iterations({"": (generator, schedule)}, config.data.image_size, limit=5.0)[""]
    images = data.load(config.data.dataset, config.data.image_size)
    counts = {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)}
    summary = {
        "id": config.id,
        "status": status,
        "epochs": progress.epoch,
        "seconds": progress.seconds,
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "test": {kind: quality.per_iteration() for kind, quality in tests.items()},
        "bicubic": {"validation": bicubic_baseline(parts.validation), "test": bicubic_baseline(parts.test)},
        "seconds_until_iteration": times,
        "data": {"fingerprint": images.fingerprint, "stand_in": images.stand_in, "images": counts},
        "machine": machine.describe(device),
    }
    files.write_tensors(folder / TEST_FILE, {"mse": tests[config.generator.statistics].mse}, {"id": config.id})
    save_weights(folder / WEIGHTS, generator, config)
    files.write_json(folder / SUMMARY, files.finite(summary))
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return status


def save_weights(path: Path, generator: Generator, config: RunConfig) -> None:
    """Weights with the run's configuration inside, so that `agm.load` can rebuild the network."""
    files.write_tensors(path, generator.state_dict(), {"kind": "generator", "config": config.to_dict()})
