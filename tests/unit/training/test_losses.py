"""The losses of Section II-E, in numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from agm.training.losses import adversarial_loss, critic_loss, gradient_penalty, visual_loss

REAL, FAKE = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 6.0])  # means 2 and 4


def test_visual_loss_is_the_mean_over_iterations_of_the_mse() -> None:
    target = torch.zeros(2, 3, 2, 2)
    images = torch.zeros(2, 2, 3, 2, 2)
    images[0] = 1.0  # MSE 1 at the first iteration
    images[1, 0, 0] = 3.0  # one of two images, one of three channels: MSE 9 / 6 at the second
    assert visual_loss(images, target).item() == pytest.approx((1 + 1.5) / 2)
    target[1] = 1.0
    assert visual_loss(images, target).item() == pytest.approx((0.5 + 1.5 + 0.5) / 2)


def test_critic_loss() -> None:
    assert critic_loss(REAL, FAKE, "corrected").item() == 2.0  # -2 + 4
    assert critic_loss(REAL, FAKE, "paper").item() == -6.0  # -2 - 4


def test_adversarial_loss() -> None:
    assert adversarial_loss(FAKE, 1e-3, "corrected").item() == pytest.approx(-4e-3)
    assert adversarial_loss(FAKE, 1e-3, "paper").item() == pytest.approx(4e-3)
    assert adversarial_loss(FAKE, 0.0, "corrected").item() == 0.0


def test_corrected_signs_let_the_networks_compete() -> None:
    """The critic gains by scoring fakes low, the generator by scoring them high; as printed, neither is so."""
    for signs, competing in (("corrected", True), ("paper", False)):
        fake = FAKE.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(critic_loss(REAL, fake, signs), fake)  # type: ignore[arg-type]
        assert bool((slope > 0).all()) == competing
        (slope,) = torch.autograd.grad(adversarial_loss(fake, 1.0, signs), fake)  # type: ignore[arg-type]
        assert bool((slope < 0).all()) == competing


class Linear(nn.Module):
    """D(x) = w . x: its gradient is w everywhere, whatever the mix."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.weight).flatten(1).sum(dim=1)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1 / math.sqrt(12), 2.0])
def test_gradient_penalty_of_a_linear_critic(scale: float) -> None:
    """The norm runs over all of C, H, W: for a constant weight s on 3 x 2 x 2 numbers it is s sqrt(12)."""
    critic = Linear(torch.full((3, 2, 2), scale))
    real, fake = torch.rand(4, 3, 2, 2), torch.rand(4, 3, 2, 2)
    penalty = gradient_penalty(critic, real, fake, torch.rand(4))
    assert penalty.item() == pytest.approx((scale * math.sqrt(12) - 1) ** 2, abs=1e-6)


def test_gradient_penalty_moves_the_critic() -> None:
    """d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|."""
    weight = torch.randn(3, 2, 2)
    critic = Linear(weight.clone())
    gradient_penalty(critic, torch.rand(4, 3, 2, 2), torch.rand(4, 3, 2, 2), torch.rand(4)).backward()
    norm = weight.norm()
    torch.testing.assert_close(critic.weight.grad, 2 * (norm - 1) * weight / norm)


def test_gradient_penalty_looks_between_real_and_fake() -> None:
    """D(x) = |x|^2 / 2 has the gradient x: the penalty tells where it was taken. mix is the share of the real image."""
    real, fake, mix = torch.rand(3, 3, 2, 2), torch.rand(3, 3, 2, 2), torch.tensor([0.0, 0.25, 1.0])
    penalty = gradient_penalty(lambda x: x.square().flatten(1).sum(dim=1) / 2, real, fake, mix)
    between = torch.stack([fake[0], 0.25 * real[1] + 0.75 * fake[1], real[2]])
    torch.testing.assert_close(penalty, (between.flatten(1).norm(dim=1) - 1).square().mean())


def test_gradient_penalty_leaves_the_generator_alone() -> None:
    fake = torch.rand(2, 3, 2, 2, requires_grad=True)
    critic = Linear(torch.randn(3, 2, 2))
    gradient_penalty(critic, torch.rand(2, 3, 2, 2), fake, torch.rand(2)).backward()
    assert fake.grad is None
