"""One training step: the two networks with their optimizers, and one update of both (Sections II-A and II-E)."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from agm import machine
from agm.config import RunConfig, TrainingConfig
from agm.networks.critic import Critic, clip_weights
from agm.networks.generator import Generator
from agm.schedule import Schedule
from agm.training.losses import adversarial_loss, critic_loss, gradient_penalty, visual_loss

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Execution:
    """Settings of one call of `train`, none of which is part of a run's identity.

    `device`: auto, cpu or cuda.
    `time_budget`: seconds until the run stops and saves itself.
    `checkpoint_interval`: seconds between checkpoints within an epoch; one is written after every epoch anyway.
    `label`: what the progress bar is headed with.
    `wait`: if another process is at the same run, wait until it stops, rather than leave the run to it.
    """

    device: str = "auto"
    time_budget: float = math.inf
    checkpoint_interval: float = 120.0
    label: str = ""
    wait: bool = True


@dataclass(frozen=True)
class Networks:
    """The two networks with their optimizers. `average`: a moving average of the generator's weights, if asked for."""

    settings: TrainingConfig
    generator: Generator
    critic: Critic
    optimizer: torch.optim.Adam
    critic_optimizer: torch.optim.Adam
    average: Generator | None

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device

    @property
    def result(self) -> Generator:
        """The generator that is validated, tested and saved."""
        return self.average or self.generator

    def forward(self, network: nn.Module, *arguments: Any) -> Tensor:
        """A network's output in 32 bits; with precision bf16 its convolutions compute in 16."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            result: Tensor = network(*arguments)
        return result.float()

    def update(self, network: nn.Module, optimizer: torch.optim.Adam) -> None:
        """One step of an optimizer along the gradients, which are clipped."""
        nn.utils.clip_grad_norm_(network.parameters(), self.settings.gradient_clip)
        optimizer.step()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, share: float, steps: int) -> None:
    """Let a moving average follow a network's weights; after few `steps` it keeps less of itself than `share`."""
    keep = min(share, (1 + steps) / (10 + steps))
    for own, new in zip(average.parameters(), network.parameters(), strict=True):
        own.lerp_(new, 1 - keep)
    for held, statistic in zip(average.buffers(), network.buffers(), strict=True):
        held.copy_(statistic)


def build(config: RunConfig, execution: Execution) -> Networks:
    """Networks with the initial weights that the seed decides, on their device."""
    settings, device = config.training, machine.choose(execution.device)
    torch.manual_seed(config.seed)
    generator = Generator(config.generator).to(device)
    critic = Critic(settings, config.data.image_size).to(device)
    on_gpu = device == "cuda"
    for network in (generator, critic) if on_gpu else ():  # faster there by a quarter and more
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = partial(torch.optim.Adam, lr=settings.learning_rate, eps=settings.adam_epsilon, capturable=on_gpu)
    average = copy.deepcopy(generator).requires_grad_(False) if settings.average else None
    return Networks(settings, generator, critic, adam(generator.parameters()), adam(critic.parameters()), average)


def train_step(networks: Networks, low: Tensor, target: Tensor, mix: Tensor, schedules: Sequence[Schedule]) -> Tensor:
    """One update of both networks. low: (N, 3, H, W), target: (N, 3, 2H, 2W); mix: (N,) for the gradient penalty.

    `schedules`: those that are trained; the critic sees the first one's last image.
    Returns the visual and the critic loss, (2,), without waiting for the device.
    """
    generator, critic, settings = networks.generator, networks.critic, networks.settings
    first, *others = schedules
    images = networks.forward(generator, low, first)  # (T, N, 3, 2H, 2W)

    loss_d = images.new_zeros(())
    if settings.adversarial_weight:
        loss_d = _update_critic(networks, images[-1].detach(), target, mix)

    # L_G = L_G_VIS + adversarial term (II-E); L_G_VIS is the mean over the schedules
    visual = visual_loss(images, target, settings.loss) / (1 + len(others))
    loss_g = visual
    if settings.adversarial_weight:
        critic.requires_grad_(False)
        scores = networks.forward(critic, images[-1])
        loss_g = visual + adversarial_loss(scores, settings.adversarial_weight, settings.signs)
    networks.optimizer.zero_grad()
    loss_g.backward()  # type: ignore[no-untyped-call]
    visual = visual.detach()
    for schedule in others:  # each by itself: gradients add up in place, activations would need three times the memory
        share = visual_loss(networks.forward(generator, low, schedule), target, settings.loss) / (1 + len(others))
        share.backward()  # type: ignore[no-untyped-call]
        visual += share.detach()
    networks.update(generator, networks.optimizer)
    return torch.stack([visual, loss_d])


def _update_critic(networks: Networks, fake: Tensor, target: Tensor, mix: Tensor) -> Tensor:
    """One update of the critic by L_D, on the last iteration's image (II-E) -> L_D."""
    critic, settings = networks.critic.requires_grad_(True), networks.settings
    judge = partial(networks.forward, critic)
    loss = critic_loss(judge(target), judge(fake), settings.signs)
    if settings.lipschitz == "penalty":
        loss = loss + settings.penalty_weight * gradient_penalty(judge, target, fake, mix)
    networks.critic_optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    networks.update(critic, networks.critic_optimizer)
    if settings.lipschitz == "clipping":
        clip_weights(critic, settings.weight_clip)
    return loss.detach()


Update = Callable[[Tensor, Tensor, Tensor, Sequence[Schedule]], Tensor]
"""`train_step` without the networks."""


def stepper(networks: Networks) -> Update:
    """`train_step`; on a GPU replayed from a CUDA graph where one can repeat it."""
    if networks.device.type == "cuda" and all_alike(networks.settings):
        return GraphedStep(networks)
    return partial(train_step, networks)


def all_alike(settings: TrainingConfig) -> bool:
    """True if all steps have the same schedule and learning rate. A CUDA graph can repeat nothing else."""
    return settings.sampling == "fixed" and settings.decay == "none"


class GraphedStep:
    """`train_step` as a CUDA graph, which saves launching its thousands of kernels each time.

    The first steps, and batches that are not full, run as usual; all do if the graph cannot be captured.
    """

    WARM_UP = 3

    def __init__(self, networks: Networks) -> None:
        self.networks, self.steps, self.failed = networks, 0, False
        self.stream = torch.cuda.Stream(networks.device)  # type: ignore[no-untyped-call]
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, low: Tensor, target: Tensor, mix: Tensor, schedules: Sequence[Schedule]) -> Tensor:
        if len(low) != self.networks.settings.batch_size or self.failed:
            return train_step(self.networks, low, target, mix, schedules)
        if self.steps < self.WARM_UP:
            self.steps += 1
            current = torch.cuda.current_stream(self.stream.device)
            self.stream.wait_stream(current)
            with torch.cuda.stream(self.stream):
                losses = train_step(self.networks, low, target, mix, schedules)
            current.wait_stream(self.stream)
            return losses
        if self.graph is None:
            try:
                self.graph = self._capture(low, target, mix, schedules)
            except RuntimeError as error:
                self.failed = True
                logger.info("training without a CUDA graph: %s", str(error).splitlines()[0])
                return train_step(self.networks, low, target, mix, schedules)
        for own, given in zip(self.inputs, (low, target, mix), strict=True):
            own.copy_(given)
        self.graph.replay()
        return self.losses

    def _capture(self, low: Tensor, target: Tensor, mix: Tensor, schedules: Sequence[Schedule]) -> torch.cuda.CUDAGraph:
        """Record the step without carrying it out."""
        self.inputs = (low.clone(), target.clone(), mix.clone())
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            self.losses = train_step(self.networks, *self.inputs, schedules)
        return graph
