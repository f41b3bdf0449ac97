"""Parameters and operations of real modules against formulas worked out by hand from Fig. 1."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from agm import Generator, GeneratorConfig
from agm.config import ORL_CONFIGURATIONS
from agm.errors import AgmError
from agm.networks.complexity import macs_per_iteration, parameters

TABLE_1 = {"nnnr": 1335683, "nnrr": 2220419, "rrnr": 3105155, "rrrr": 3989891, "nnnn": 1003907}
"""Table I as printed; nnnn is what the paper's 74.8 % belongs to."""

MASKS = [(*inner, True) for inner in itertools.product((True, False), repeat=3)]


def layer_kernels(letter: str, outputs: int, w: int) -> int:
    """Kernel numbers of one inner layer with 2w inputs: four gates over [x, h], or two plain convolutions."""
    if letter == "r":
        return 9 * (2 * w + outputs) * 4 * outputs
    return 9 * 2 * w * outputs + 9 * outputs * outputs


def by_hand(layers: str, w: int) -> int:
    a, b = 9 * 3 * w + 2 * w, 16 * 3 * w + 2 * w  # kernels, and scale and shift of the norm
    d = 9 * w * 3 + 3
    total = a + b + d
    for letter, outputs in zip(layers, (2 * w, 2 * w, 2 * w, w), strict=True):
        biases = 4 * outputs  # one per gate, or two per norm: the same number
        total += layer_kernels(letter, outputs, w) + biases
    return total


def macs_by_hand(layers: str, w: int, size: int, mask: tuple[bool, ...]) -> int:
    low, high = (size // 2) ** 2, size**2
    total = low * 16 * 3 * w + high * 9 * w * 3  # B and D; A runs once per image and is not counted
    for letter, outputs, pixels, active in zip(
        layers, (2 * w, 2 * w, 2 * w, w), (low, low, high, high), mask, strict=True
    ):
        total += pixels * layer_kernels(letter, outputs, w) * active
    return total


@pytest.mark.parametrize("layers", TABLE_1)
def test_table_1(layers: str) -> None:
    assert parameters(GeneratorConfig(layers=layers)) == TABLE_1[layers] == by_hand(layers, 64)


@pytest.mark.parametrize("layers", ORL_CONFIGURATIONS)
def test_all_sixteen_counts(layers: str) -> None:
    """Closed form: a recurrent layer costs 884,736 more than a plain one, layer 4, which is narrower, 331,776."""
    expected = 1003907 + 884736 * layers[:3].count("r") + 331776 * layers[3:].count("r")
    assert parameters(GeneratorConfig(layers=layers)) == expected == by_hand(layers, 64)


@pytest.mark.parametrize("width", [1, 3, 16])
@pytest.mark.parametrize("layers", ["rrrr", "nnnn", "rnnr"])
def test_other_widths(layers: str, width: int) -> None:
    real = Generator(GeneratorConfig(layers=layers, width=width))
    counted = sum(parameter.numel() for parameter in real.parameters() if parameter.requires_grad)
    assert parameters(GeneratorConfig(layers=layers, width=width)) == counted == by_hand(layers, width)


def test_peepholes_add_three_numbers_per_channel() -> None:
    """Which is why Table I excludes them: 3 x (128 + 128 + 128 + 64) more."""
    with_, without = GeneratorConfig(peephole=True), GeneratorConfig()
    assert parameters(with_) - parameters(without) == 3 * (3 * 128 + 64)


def test_part_by_part_as_in_the_reconstruction() -> None:
    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    recurrent, plain = Generator(GeneratorConfig(layers="rrrr")), Generator(GeneratorConfig(layers="nnnn"))
    assert count(recurrent.a) == 1728 + 128
    assert count(recurrent.b) == 3072 + 128
    assert count(recurrent.d) == 1728 + 3
    assert [count(layer) for layer in recurrent.layers] == [1179648 + 512] * 3 + [442368 + 256]
    assert [count(layer) for layer in plain.layers] == [294912 + 512] * 3 + [110592 + 256]


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: "".join("x" if active else "-" for active in mask))
@pytest.mark.parametrize("layers", ["rrrr", "nnnn", "rnnr"])
def test_macs(layers: str, mask: tuple[bool, ...]) -> None:
    config = GeneratorConfig(layers=layers, width=3)
    assert macs_per_iteration(config, 16, mask) == macs_by_hand(layers, 3, 16, mask)


def test_macs_at_the_papers_size() -> None:
    assert macs_per_iteration(GeneratorConfig()) == macs_by_hand("rrrr", 64, 64, (True,) * 4) == 9069920256


def test_macs_are_those_of_a_real_run() -> None:
    """Steady state: the second iteration, counted as a difference of two runs on real tensors."""
    generator, x = Generator(GeneratorConfig(layers="rnnr", width=2, iterations=2)).eval(), torch.rand(1, 3, 8, 8)
    totals = []
    for schedule in ("xxxx (1)", "xxxx (2)"):
        with FlopCounterMode(display=False) as counter:
            generator(x, schedule)
        totals.append(counter.get_total_flops())
    assert (totals[1] - totals[0]) // 2 == macs_per_iteration(generator.config, 16)


@pytest.mark.parametrize("size", [0, -2, 7, 100_002, 10**21])
def test_impossible_sizes_are_refused(size: int) -> None:
    with pytest.raises(AgmError, match=f"image_size={size}"):
        macs_per_iteration(GeneratorConfig(width=1), size)


def test_params_prints_all_sixteen(agm_command: Callable[..., object]) -> None:
    rows = json.loads(agm_command("params", "--json").out)  # type: ignore[attr-defined]
    assert [row["layers"] for row in rows] == list(ORL_CONFIGURATIONS)
    assert {row["layers"]: row["parameters"] for row in rows}.items() >= TABLE_1.items()
    assert all(row["parameters"] == by_hand(row["layers"], 64) for row in rows)
    assert all(row["macs"] == macs_by_hand(row["layers"], 64, 64, (True,) * 4) for row in rows)
    table = agm_command("params").out  # type: ignore[attr-defined]
    assert "3,989,891" in table
    assert len(table.splitlines()) == 17


def test_params_of_another_width_and_size(agm_command: Callable[..., object]) -> None:
    rows = json.loads(agm_command("params", "--width", "4", "--image-size", "16", "--json").out)  # type: ignore[attr-defined]
    assert all(row["parameters"] == by_hand(row["layers"], 4) for row in rows)
    assert all(row["macs"] == macs_by_hand(row["layers"], 4, 16, (True,) * 4) for row in rows)
