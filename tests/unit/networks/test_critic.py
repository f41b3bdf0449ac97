"""The critic: shapes, its range, what may be in it, and weight clipping."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from agm import TrainingConfig
from agm.networks.critic import Critic, clip_weights


def critic(image_size: int = 16, **fields: Any) -> Critic:
    return Critic(TrainingConfig(critic_width=2, **fields), image_size)


@pytest.mark.parametrize("lipschitz", ["clipping", "penalty", "none"])
@pytest.mark.parametrize("output", ["linear", "sigmoid"])
@pytest.mark.parametrize("size", [12, 16, 32, 50, 64])
def test_one_score_per_image(size: int, output: Any, lipschitz: Any) -> None:
    scores = critic(size, critic_output=output, lipschitz=lipschitz)(torch.rand(3, 3, size, size))
    assert scores.shape == (3,)
    assert scores.isfinite().all()


def test_at_the_papers_size_it_is_dcgans() -> None:
    """64 -> 32 -> 16 -> 8 -> 4, with 64, 128, 256 and 512 channels; the first convolution is not normalised."""
    network = Critic(TrainingConfig(), 64).network
    convolutions = [module for module in network if isinstance(module, nn.Conv2d)]
    assert [conv.out_channels for conv in convolutions] == [64, 128, 256, 512]
    assert [norm.num_features for norm in network if isinstance(norm, nn.BatchNorm2d)] == [128, 256, 512]
    assert [conv.bias is not None for conv in convolutions] == [True, False, False, False]
    assert [layer.in_features for layer in network if isinstance(layer, nn.Linear)] == [512 * 4 * 4]


def test_linear_scores_are_unbounded_and_sigmoid_scores_lie_in_0_1() -> None:
    images = 50 * torch.randn(16, 3, 16, 16)
    torch.manual_seed(0)
    linear = critic()(images)
    torch.manual_seed(0)
    squashed = critic(critic_output="sigmoid")(images)
    torch.testing.assert_close(squashed, linear.sigmoid())
    assert linear.min() < 0
    assert ((squashed >= 0) & (squashed <= 1)).all()


@pytest.mark.parametrize(("lipschitz", "normalised"), [("penalty", False), ("clipping", True), ("none", True)])
def test_no_batch_norm_with_a_gradient_penalty(lipschitz: Any, normalised: bool) -> None:
    """Else the gradient at one image would depend on the others."""
    network = critic(lipschitz=lipschitz).train()
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    assert bool(norms) == normalised
    images = torch.rand(4, 3, 16, 16)
    alone = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(network(images), alone, atol=1e-6) != normalised


def test_every_weight_matters() -> None:
    """No bias before a batch norm, where it would be lost: all gradients are more than rounding."""
    network = critic(32)
    network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 1e-7, name


def test_clipping_keeps_to_convolutions_and_linear_layers() -> None:
    network = critic(32)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    clip_weights(network, 0.01)
    clipped = untouched = 0
    for name, module in network.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            old = before[f"{name}.{own}"]
            if isinstance(module, nn.BatchNorm2d):
                assert torch.equal(parameter, old)
                untouched += 1
            else:
                assert torch.equal(parameter, old.clamp(-0.01, 0.01))
                clipped += 1
    assert clipped >= 5
    assert untouched >= 2
