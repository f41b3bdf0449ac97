"""Winograd's convolutions for training: values and gradients are torch's own, up to rounding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from agm import convolution
from agm.config import GeneratorConfig, RunConfig, TrainingConfig
from agm.convolution import WinogradConvolution
from agm.generator import Generator
from agm.layers import convolve
from agm.step import Execution, build


def both(x: Tensor, weight: Tensor, bias: Tensor | None) -> list[list[Tensor]]:
    """Output and gradients of torch's convolution and of ours, for the same gradient of the output."""
    found = []
    for conv in (convolve, WinogradConvolution()):
        leaves = [part.clone().requires_grad_() for part in (x, weight, bias) if part is not None]
        y = conv(*leaves[:2], leaves[2] if bias is not None else None)
        gradient = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
        y.backward(gradient)
        found.append([y, *(leaf.grad for leaf in leaves if leaf.grad is not None)])
    return found


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 8), (5, 7), (3, 16), (13, 4)])
@pytest.mark.parametrize("biased", [False, True])
def test_values_and_gradients(height: int, width: int, biased: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, height, width, dtype=torch.float64)
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64)
    expected, found = both(x, weight, torch.randn(5, dtype=torch.float64) if biased else None)
    assert len(found) == 3 + biased
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_more_tiles_than_fit_into_a_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 24, 12, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    monkeypatch.setattr("agm.winograd.STRIP", 12)
    expected, found = both(x, weight, None)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_gradient_by_differences() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(WinogradConvolution(), (x, weight))


def test_used_twice_before_the_gradient() -> None:
    """The memory in between is shared; what the backward pass needs must not be in it."""
    torch.manual_seed(0)
    x, weight = torch.randn(1, 3, 8, 8), torch.randn(3, 3, 3, 3)
    grads = []
    for conv in (WinogradConvolution(), lambda a, w: F.conv2d(a, w, padding=1)):
        leaf, weight_leaf = x.clone().requires_grad_(), weight.clone().requires_grad_()
        conv(conv(leaf, weight_leaf).relu(), weight_leaf).square().sum().backward()
        assert leaf.grad is not None
        assert weight_leaf.grad is not None
        grads.append((leaf.grad, weight_leaf.grad))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-2)


def test_installed_where_it_pays_and_only_for_training() -> None:
    def layers(width: int, execution: Execution) -> list[bool]:
        config = RunConfig(GeneratorConfig("nnrr", width=width), training=TrainingConfig(critic_width=4))
        generator = build(config, execution).generator
        return [layer.training_convolve is not convolve for layer in generator.layers]

    cpu = Execution(device="cpu")
    assert layers(64, cpu) == [True, True, True, True]
    assert layers(16, cpu) == [False] * 4
    assert layers(64, Execution(device="cpu", winograd=False)) == [False] * 4
    assert convolution.pays(Generator(GeneratorConfig("nnnn", width=64)).layers[2])
    assert not convolution.pays(Generator(GeneratorConfig("nnnn", width=64)).layers[3])


def test_a_network_trains_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "LEAST", 1)
    torch.manual_seed(0)
    x, target = torch.rand(2, 3, 6, 6), torch.rand(2, 3, 12, 12)
    found = []
    for install in (False, True):
        torch.manual_seed(3)
        generator = Generator(GeneratorConfig("rnnr", width=4, iterations=3)).train()
        if install:
            convolution.install(generator)
        images = generator(x)
        (images - target).square().mean().backward()
        found.append([images, *(p.grad for p in generator.parameters() if p.grad is not None)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
