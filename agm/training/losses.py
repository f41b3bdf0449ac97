"""The losses of Section II-E. Scores are the critic's, (N,); images are (T, N, 3, H, W) and (N, 3, H, W)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Signs = Literal["corrected", "paper"]


def visual_loss(images: Tensor, target: Tensor, loss: Literal["mse", "l1"] = "mse") -> Tensor:
    """L_G_VIS: the mean over iterations of MSE(X_t, Y), or of the mean absolute error.

    images: (T, N, 3, H, W), target: (N, 3, H, W) -> scalar.
    """
    error = images - target
    return error.square().mean() if loss == "mse" else error.abs().mean()


def critic_loss(real: Tensor, fake: Tensor, signs: Signs) -> Tensor:
    """L_D. The paper prints -E[D(real)] - E[D(fake)]; the corrected form gives the two opposite signs, as WGAN does."""
    return -real.mean() + fake.mean() if signs == "corrected" else -real.mean() - fake.mean()


def adversarial_loss(fake: Tensor, weight: float, signs: Signs) -> Tensor:
    """The term added to L_G_VIS. With L_G_GAN = -E[D(fake)], the paper prints L_G_VIS - weight * L_G_GAN,
    which rewards low scores; the corrected form adds it."""
    gan = -fake.mean()
    return weight * gan if signs == "corrected" else -weight * gan


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """WGAN-GP: E[(|grad D(x)| - 1)^2] at x between real and fake images; the norm runs over all of C, H, W.

    mix: (N,) in [0, 1], the share of the real image in x.
    """
    share = mix.view(-1, 1, 1, 1)  # (N,) -> (N, 1, 1, 1)
    between = (share * real + (1 - share) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = (gradient.flatten(1).norm(dim=1) - 1).square().mean()  # (N, C, H, W) -> (N, C H W) -> (N,)
    return penalty
