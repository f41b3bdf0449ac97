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

from agm import machine
from agm.config import RunConfig
from agm.errors import AgmError
from agm.layers import IterationNorm

PATIENCE = timedelta(days=1)
"""How long processes wait for the first one while it validates, or waits for a run that others are at."""

STATUSES = ("", "finished", "diverged", "interrupted", "busy")
"""What the first process may tell the others."""


class LostError(AgmError):
    """Another process of the run has ended; it is that one's error that matters."""


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
        y, mean, var = _Norm.apply(x, weight, bias, epsilon, self.size)  # type: ignore[no-untyped-call]
        count = self.size * x.numel() // x.shape[1]
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * (count / (count - 1)), momentum)  # unbiased, as torch has it
        shared: Tensor = y
        return shared


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


class _Norm(torch.autograd.Function):
    """Batch norm over `size` equal shares of a batch; returns the batch's mean and (biased) variance, too.

    Backwards it gives the gradients of the sum of all processes' losses, which are averaged like all others.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float, size: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x: (N / size, C, H, W) -> the same, (C,), (C,)."""
        unused = torch.zeros_like(weight), torch.zeros_like(weight)  # without them, moments would have x's precision
        means, variances = _gather(torch.stack(torch.batch_norm_update_stats(x, *unused, 1.0)), size).unbind(1)
        mean = means.mean(0)  # (size, C) -> (C,)
        var = (variances + (means - mean).square()).mean(0)  # within the shares and between them
        ctx.save_for_backward(x, weight, mean, var)
        ctx.epsilon, ctx.size = epsilon, size
        ctx.mark_non_differentiable(mean, var)
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, epsilon), mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable  # the penalty's critic, differentiated twice, has no batch norm
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, weight, mean, var = ctx.saved_tensors
        # As if the moments were constants ...
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, var, None, None, False, ctx.epsilon, [True, True, True]
        )
        # ... and then through the moments: dx - w / s (mean(dy) + x_hat mean(dy x_hat)), x_hat = (x - mean) / s
        slope, shift = _sum(torch.stack([of_weight, of_bias])) / (ctx.size * x.numel() // x.shape[1])
        inverse = (var + ctx.epsilon).rsqrt()
        factor = weight * inverse.square() * slope
        offset = factor * mean - weight * inverse * shift
        correction = torch.addcmul(offset[:, None, None], x, factor[:, None, None], value=-1)
        return (of_x + correction).to(x.dtype), of_weight, of_bias, None, None


def join(device: str) -> World:
    """The processes that torchrun or `agm.launch` started, this one among them; where none did, this one alone."""
    if not dist.is_initialized() and dist.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1:
        initialise(device, "env://", int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        atexit.register(leave)
    if not dist.is_initialized():
        return World()
    return World(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))


def initialise(device: str, method: str, rank: int, size: int) -> None:
    """Meet the other processes: by gloo, and for what lies on GPUs by NCCL."""
    backend = "gloo"
    if machine.choose(device) == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        check_gpus(local + 1)
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, init_method=method, timeout=PATIENCE, rank=rank, world_size=size)


def leave() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def leads() -> bool:
    """Whether this process is the one that speaks for all."""
    return not dist.is_initialized() or dist.get_rank() == 0


def check(config: RunConfig, world: World, devices: int) -> None:
    """Raises AgmError if the devices asked for, or those that torchrun started, cannot train a run together."""
    if world.size > 1 and devices not in (1, world.size):
        raise AgmError(f"{devices} devices were asked for, but {world.size} processes started; leave out --devices")
    devices, images = max(devices, world.size), config.training.batch_size
    if images % devices:
        raise AgmError(f"batch_size={images} cannot be divided equally among {devices} devices; change one of them")


def check_gpus(wanted: int) -> None:
    """Raises AgmError if there are fewer GPUs."""
    if torch.cuda.device_count() < wanted:
        raise AgmError(f"{wanted} GPUs were asked for, but torch sees {torch.cuda.device_count()}; lower --devices")


def _sum(tensor: Tensor, operation: Any = dist.ReduceOp.SUM) -> Tensor:
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    try:
        dist.all_reduce(total, operation)
    except RuntimeError as error:
        raise _lost() from error
    return total


def _gather(tensor: Tensor, size: int) -> Tensor:
    """One tensor of each process: (...) -> (size, ...)."""
    gathered = [torch.empty_like(tensor) for _ in range(size)]
    try:
        dist.all_gather(gathered, tensor)
    except RuntimeError as error:
        raise _lost() from error
    return torch.stack(gathered)


def _lost() -> LostError:
    return LostError("another process of this run has ended; the same command goes on from the last checkpoint")
