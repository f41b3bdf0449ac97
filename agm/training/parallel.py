"""Several processes that train one run together: each takes its share of every batch.

Losses and gradients are averaged over the processes, and batch norm takes its moments over all of them, so that a step
is that of one process with the whole batch, up to rounding. `DistributedDataParallel` is not used: it forbids what a
step does with the critic, which is differentiated twice for the gradient penalty and frozen for the generator's update.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from agm import machine
from agm.config import RunConfig
from agm.errors import AgmError
from agm.networks.blocks import IterationNorm

PATIENCE = timedelta(days=1)
"""How long processes wait for the first one while it validates, or waits for a run that others are at."""

STATUSES = ("", "finished", "diverged", "interrupted", "busy")
"""What the first process may tell the others."""


@dataclass
class World:
    """The processes of a run: this one's number `rank`, among all and on its machine, and how many there are, `size`.

    `divided`: whether the present batch is shared out, rather than computed as a whole by each process.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    divided: bool = False

    def share(self, images: int) -> slice:
        """This process's equal part of a batch; all of it where it cannot be divided equally, such as a last batch.

        What all processes compute alike is its own average, so nothing needs weights.
        """
        self.divided = self.size > 1 and images % self.size == 0
        count = images // self.size
        return slice(self.rank * count, (self.rank + 1) * count) if self.divided else slice(None)

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over the processes."""
        return tensor if self.size == 1 else _sum(tensor) / self.size

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the mean over the processes in place of their gradients, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]  # a layer that the schedule skips has none
        means = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(means, [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, parts, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in one of the processes at least; all must ask."""
        return self._highest(int(flag)) > 0

    def first(self, status: str) -> str:
        """The first process's status, one of STATUSES, in all of them; all must ask."""
        return STATUSES[self._highest(STATUSES.index(status) if self.rank == 0 else 0)]

    def _highest(self, number: int) -> int:
        # On the CPU in any case: a GPU may be steps behind, and need not be waited for.
        return number if self.size == 1 else int(_sum(torch.tensor(number), dist.ReduceOp.MAX))

    def share_moments(self, network: nn.Module) -> None:
        """Have all batch norms of a network train with the moments of the whole batch."""
        if self.size == 1:
            return
        for module in list(network.modules()):
            if isinstance(module, IterationNorm):
                module.training_norm = self.batch_norm
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, _SharedBatchNorm(child, self))

    def batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        weight: Tensor,
        bias: Tensor,
        training: bool,
        momentum: float,
        epsilon: float,
    ) -> Tensor:
        """`torch.nn.functional.batch_norm` for training, with the moments of all shares of a batch together."""
        if not self.divided:
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, epsilon)
        values, axes = x.float(), (0, 2, 3)
        mean = self._over_all(values.mean(axes, keepdim=True))  # (1, C, 1, 1)
        centred = values - mean
        var = self._over_all(centred.square().mean(axes, keepdim=True))
        count = self.size * x.numel() // x.shape[1]
        with torch.no_grad():
            running_mean.lerp_(mean.flatten(), momentum)
            running_var.lerp_(var.flatten() * (count / (count - 1)), momentum)  # unbiased, as torch has it
        y = centred * (var + epsilon).rsqrt() * weight[:, None, None] + bias[:, None, None]
        return y.to(x.dtype)

    def _over_all(self, share: Tensor) -> Tensor:
        """The mean over the processes; differentiable."""
        total: Tensor = all_reduce(share)  # type: ignore[no-untyped-call]
        return total / self.size


class _SharedBatchNorm(nn.BatchNorm2d):
    """A batch norm that trains with the moments of the whole batch. torch's own, SyncBatchNorm, needs a GPU."""

    def __init__(self, norm: nn.BatchNorm2d, world: World) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.load_state_dict(norm.state_dict())
        self.world = world

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        moments = self.running_mean, self.running_var
        return self.world.batch_norm(x, *moments, self.weight, self.bias, True, self.momentum, self.eps)


def join(device: str) -> World:
    """The processes that torchrun started, this one among them; where it did not, this one alone.

    They talk by gloo, and about what lies on GPUs by NCCL. Raises AgmError if there are fewer GPUs than processes.
    """
    if not dist.is_initialized() and dist.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1:
        backend, local = "gloo", int(os.environ["LOCAL_RANK"])
        if machine.choose(device) == "cuda":
            if local >= torch.cuda.device_count():
                raise AgmError(f"process {local + 1} has no GPU of its own, torch sees {torch.cuda.device_count()}")
            torch.cuda.set_device(local)
            backend = "cpu:gloo,cuda:nccl"
        dist.init_process_group(backend, timeout=PATIENCE)
        atexit.register(leave)
    if not dist.is_initialized():
        return World()
    return World(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))


def leave() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def leads() -> bool:
    """Whether this process is the one that speaks for all."""
    return not dist.is_initialized() or dist.get_rank() == 0


def check(config: RunConfig, world: World) -> None:
    """Raises AgmError if so many processes cannot train a run together."""
    images = config.training.batch_size
    if images % world.size:
        raise AgmError(f"batch_size={images} cannot be divided equally among {world.size} processes; change one")


def _sum(tensor: Tensor, operation: Any = dist.ReduceOp.SUM) -> Tensor:
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    try:
        dist.all_reduce(total, operation)
    except RuntimeError as error:
        raise AgmError("another process has ended; the same command goes on from the last checkpoint") from error
    return total
