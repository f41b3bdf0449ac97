"""The building blocks against the paper's equations in numpy, and batch norm against torch's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support import reference
from support.modules import shake
from torch import nn

from agm.config import GeneratorConfig
from agm.networks.blocks import ConvNormAct, IterationNorm
from agm.networks.layers import conv_lstm
from agm.networks.layers.conv_gru import ConvGRU
from agm.networks.layers.conv_lstm import ConvLSTM, lstm_update
from agm.networks.layers.plain import PlainLayer

STATISTICS: Any = ("shared", "iteration", "batch")
"""Those that need nothing but training."""


def random_input(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64)


def assert_close(actual: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("outputs", [2, 3])
@pytest.mark.parametrize("peephole", [False, True])
def test_conv_lstm_is_the_papers_equations(peephole: bool, outputs: int) -> None:
    """Several steps: the first from no state at all, which must be the zero state."""
    cell = shake(ConvLSTM(3, outputs, peephole).double()).eval()
    weights = reference.weights_of(cell)
    h = c = np.zeros((2, outputs, 4, 5))
    state = None
    for t in range(4):
        x = random_input(2, 3, 4, 5)
        h, c = reference.conv_lstm(weights, x.numpy(), h, c)
        out, state = cell(x, state, t, "shared")
        assert state is not None
        assert_close(out, h)
        assert_close(state[0], h)
        assert_close(state[1], c)


def test_conv_gru_is_the_published_one() -> None:
    cell = shake(ConvGRU(3, 2).double())
    weights, h, state = reference.weights_of(cell), np.zeros((2, 2, 4, 5)), None
    for t in range(3):
        x = random_input(2, 3, 4, 5)
        h = reference.conv_gru(weights, x.numpy(), h)
        out, state = cell(x, state, t, "shared")
        assert_close(out, h)
        assert_close(state[0], h)


def test_peepholes_of_zero_change_nothing_and_others_do() -> None:
    without, with_ = shake(ConvLSTM(2, 2)), ConvLSTM(2, 2, peephole=True)
    with_.load_state_dict(without.state_dict(), strict=False)
    x, state = torch.randn(1, 2, 3, 3), (torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3))
    torch.testing.assert_close(without(x, state, 0, "shared"), with_(x, state, 0, "shared"), rtol=0, atol=0)
    outputs = [without(x, state, 0, "shared")[0]]
    for gate in range(3):
        assert with_.peephole is not None
        with torch.no_grad():
            with_.peephole.zero_()[gate] = 1.0
        outputs.append(with_(x, state, 0, "shared")[0])
    for i, one in enumerate(outputs):
        assert not any(torch.allclose(one, other) for other in outputs[i + 1 :])


def test_no_state_is_the_zero_state_for_gates_as_well() -> None:
    gates, peephole = torch.randn(2, 8, 3, 3), torch.randn(3, 2, 1, 1)
    explicit = lstm_update(gates, torch.zeros(2, 2, 3, 3), peephole)
    torch.testing.assert_close(lstm_update(gates, None, peephole), explicit)


@pytest.mark.parametrize(("config", "start"), [(GeneratorConfig(), 1.0), (GeneratorConfig(forget_bias=0.0), 0.0)])
def test_an_lstm_starts_by_remembering(config: GeneratorConfig, start: float) -> None:
    """The bias of the forget gate, second of i, f, g, o, starts near 1, or where the configuration says."""
    layer = conv_lstm.build(config, 16, 16)
    assert isinstance(layer, ConvLSTM)
    i, f, g, o = layer.gates.bias.detach().chunk(4)  # type: ignore[union-attr]
    bound = 1 / np.sqrt(9 * 32)
    assert ((f - start).abs() <= bound + 1e-6).all()
    for other in (i, g, o):
        assert (other.abs() <= bound + 1e-6).all()


def test_a_cell_is_pure() -> None:
    """The same call twice gives the same; the state that is passed in is not written to; nothing is kept."""
    cell = shake(ConvLSTM(2, 2)).eval()
    x, state = torch.randn(1, 2, 3, 3), (torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3))
    before = [tensor.clone() for tensor in (x, *state)]
    first = cell(x, state, 0, "shared")
    cell(torch.randn(1, 2, 3, 3), None, 0, "shared")
    torch.testing.assert_close(cell(x, state, 0, "shared"), first, rtol=0, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, *state), strict=True))


@pytest.mark.parametrize(("statistics", "row"), [("shared", 3), ("iteration", 1), ("batch", None)])
def test_plain_layer_is_the_papers_equations(statistics: Any, row: int | None) -> None:
    layer = shake(PlainLayer(3, 2, iterations=3).double()).eval()
    x = random_input(2, 3, 4, 5)
    out, state = layer(x, None, 1, statistics)
    assert_close(out, reference.plain_layer(reference.weights_of(layer), x.numpy(), row))
    assert state is None


def test_plain_layer_hands_a_state_through() -> None:
    state = (torch.zeros(1), torch.zeros(1))
    assert PlainLayer(2, 2, 1).eval()(torch.randn(1, 2, 3, 3), state, 0, "shared")[1] is state


@pytest.mark.parametrize(("kernel", "stride", "height"), [(3, 1, 5), (4, 2, 10)])
def test_conv_norm_act(kernel: int, stride: int, height: int) -> None:
    block = shake(ConvNormAct(3, 4, kernel, stride, iterations=2).double()).eval()
    weights = reference.weights_of(block)
    x = random_input(2, 3, height, height + 2)
    convolved = reference.convolve(x.numpy(), weights["conv.weight"], stride)
    normalised = reference.normalise(convolved, reference.part(weights, "norm"), 0)
    expected = reference.leaky_relu(normalised)
    assert_close(block(x, 0, "iteration"), expected)
    assert expected.shape[2:] == (height // stride, (height + 2) // stride)


def trained_norms(iterations: int = 3, steps: int = 4) -> tuple[IterationNorm, nn.BatchNorm2d, list[nn.BatchNorm2d]]:
    """An IterationNorm, a BatchNorm2d that saw every call, and one for each iteration, all trained on the same."""
    own = shake(IterationNorm(2, iterations).double())
    own.running_mean.zero_()
    own.running_var.fill_(1.0)
    norms = [nn.BatchNorm2d(2).double() for _ in range(iterations + 1)]
    for norm in norms:
        norm.load_state_dict({"weight": own.weight, "bias": own.bias}, strict=False)
    shared, rows = norms[-1], norms[:-1]
    for step in range(steps):
        for t in range(iterations):
            x = (t + 1) * random_input(3, 2, 4, 4) + step
            expected = rows[t](x)
            torch.testing.assert_close(shared(x), expected)
            torch.testing.assert_close(own(x, t, "shared"), expected)
    return own, shared, rows


def test_iteration_norm_keeps_what_torch_would_keep() -> None:
    own, shared, rows = trained_norms()
    for row, norm in enumerate([*rows, shared]):
        torch.testing.assert_close(own.running_mean[row], norm.running_mean)
        torch.testing.assert_close(own.running_var[row], norm.running_var)
    assert not torch.allclose(own.running_var[0], own.running_var[1])


def test_iteration_norm_evaluates_with_the_statistics_asked_for() -> None:
    own, shared, rows = trained_norms()
    for norm in (own, shared, *rows):
        norm.eval()
    x = random_input(3, 2, 4, 4)
    for t in range(3):
        torch.testing.assert_close(own(x, t, "shared"), shared(x))
        torch.testing.assert_close(own(x, t, "iteration"), rows[t](x))
    torch.testing.assert_close(own(x, 7, "iteration"), rows[-1](x))  # past the end: the last iteration's
    shared.train()
    torch.testing.assert_close(own(x, 1, "batch"), shared(x))


def test_iteration_norm_writes_no_statistics_in_evaluation() -> None:
    own, *_ = trained_norms()
    own.eval()
    before = own.running_mean.clone(), own.running_var.clone()
    for statistics in STATISTICS:
        own(random_input(3, 2, 4, 4), 0, statistics)
    assert torch.equal(own.running_mean, before[0])
    assert torch.equal(own.running_var, before[1])


def test_iteration_norm_gradients_are_torchs() -> None:
    own, norm = IterationNorm(2, 3).double(), nn.BatchNorm2d(2).double()
    x = random_input(3, 2, 4, 4)
    gradients = []
    for module, arguments in ((own, (1, "shared")), (norm, ())):
        leaf = x.clone().requires_grad_(True)
        (module(leaf, *arguments) ** 3).sum().backward()
        gradients.append((leaf.grad, module.weight.grad, module.bias.grad))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_training_does_not_depend_on_the_kind_of_statistics() -> None:
    results = []
    for statistics in STATISTICS:
        layer = shake(PlainLayer(2, 2, iterations=2))
        x = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1))
        for t in (0, 1, 2):
            x, _ = layer(x, None, t, statistics)
        x.square().sum().backward()
        results.append([x, *layer.state_dict().values(), *(p.grad for p in layer.parameters())])
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, rtol=0, atol=0)


def test_training_past_the_last_iteration_counts_for_the_last() -> None:
    own, norm = IterationNorm(1, 2).double(), nn.BatchNorm2d(1).double()
    for t in (1, 2, 9):
        x = random_input(2, 1, 3, 3)
        own(x, t, "shared")
        norm(x)
    torch.testing.assert_close(own.running_var[1], norm.running_var)
    torch.testing.assert_close(own.running_mean[0], torch.zeros(1, dtype=torch.float64))
