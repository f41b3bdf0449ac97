"""Every kind of inner layer, through all that the project does with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.modules import shake
from support.runs import became, tiny

from agm.anytime.onnx.export import export
from agm.anytime.onnx.graphs import LETTERS
from agm.anytime.stepper import Plain, held_bytes
from agm.anytime.upscaler import AnytimeUpscaler
from agm.config import GeneratorConfig
from agm.errors import AgmError
from agm.networks.complexity import macs_per_iteration, parameters
from agm.networks.generator import Generator
from agm.networks.layers import KINDS
from agm.schedule import Schedule
from agm.training.loop import train
from agm.training.step import Execution
from study.cost import per_image
from study.figures import fig3, style

pytestmark = [pytest.mark.parametrize("base", ["paper", "light"]), pytest.mark.parametrize("letter", KINDS)]

GROWING = "---x (1) - x-xx (1) - xxxx (1)"


def config(letter: str, base: Any) -> GeneratorConfig:
    return GeneratorConfig(layers=f"{letter}nr{letter}", width=4, iterations=3, base=base)


def test_it_works_under_ael(letter: str, base: str) -> None:
    """An inactive layer gets no state; an active one as many tensors as its kind says, of its output's size."""
    generator = shake(Generator(config(letter, base))).eval()
    x = torch.rand(2, 3, 6, 5)
    context = generator.encode(x)
    memory = generator.first_memory(x, context)
    for mask in Schedule.parse(GROWING):
        image, memory = generator.step(context, memory, mask, 0)
        assert image.shape == (2, 3, 12, 10)
        own = [state for i, state in enumerate(memory.states) if i in (0, 3) and mask[i]]
        assert [len(state or ()) for state in own] == [KINDS[letter].states] * len(own)
    shapes = {tuple(tensor.shape) for tensor in memory.states[3] or ()}
    assert shapes <= {(2, 4, 12, 10) if base == "paper" else (2, 4, 6, 5)}


def test_a_state_is_read_exactly_if_it_is_recurrent(letter: str, base: str) -> None:
    layer = shake(Generator(config(letter, base))).eval().layers[0]
    x = torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        _, state = layer(torch.randn(1, 8, 5, 5), None, 0, "shared")
        fresh, later = layer(x, None, 0, "shared")[0], layer(x, state, 0, "shared")[0]
    assert KINDS[letter].recurrent is not torch.equal(fresh, later)


def test_it_is_counted_and_drawn(letter: str, base: str) -> None:
    one, plain = config(letter, base), config("n", base)
    assert (parameters(one) > parameters(plain)) is KINDS[letter].recurrent
    assert (macs_per_iteration(one) > macs_per_iteration(plain)) is KINDS[letter].recurrent
    schedules = [Schedule.parse(GROWING)]
    assert (held_bytes(one, schedules) > held_bytes(plain, schedules)) is KINDS[letter].recurrent
    assert per_image(tiny(layers=one.layers, base=base)) >= per_image(tiny(layers=plain.layers, base=base))
    assert style.line(one.layers)["marker"]
    assert fig3.draw([Generator(one)]) is not None


def test_it_is_trained_and_upscales(letter: str, base: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning says which layers the engine lacks, so that plain torch runs the network."""
    run = tiny(layers=f"{letter}nr{letter}", base=base, schedule="---x (1) - xxxx (1)")
    assert became(train(run, tmp_path, Execution(device="cpu"))) == "finished"
    upscaler = AnytimeUpscaler.load(tmp_path, timed=False)
    said = f"the engine has no {KINDS[letter].label} layers"
    assert caplog.text.count(said) == int(isinstance(upscaler.stepper, Plain)) == int(letter == "g")
    image = np.random.default_rng(0).integers(0, 256, (12, 13, 3), np.uint8)
    assert upscaler.upscale(image).image.shape == (24, 26, 3)  # type: ignore[union-attr]


def test_it_is_exported_or_refused_by_name(letter: str, base: str, tmp_path: Path) -> None:
    generator = shake(Generator(config(letter, base)))
    if letter in LETTERS:
        export(generator, tmp_path / "out", Schedule.parse(GROWING))
        assert (tmp_path / "out" / "chain.json").exists()
        return
    with pytest.raises(AgmError, match=f"{KINDS[letter].label} layers cannot be exported"):
        export(generator, tmp_path / "out", Schedule.parse(GROWING))
    assert not (tmp_path / "out").exists()
