"""The lighter base: counts by hand, an equation written down in numpy-like loops, flat colours, every configuration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from agm import GeneratorConfig, RunConfig
from agm.anytime.stepper import Mirrored, Plain, iterate
from agm.config import ORL_CONFIGURATIONS
from agm.errors import AgmError
from agm.networks.complexity import parameters
from agm.networks.generator import Generator, bicubic
from agm.networks.layers.residual import cell_of
from agm.schedule import Schedule

PLAN = "---x - x--x - xx-x - xxxx (2)"


def light(layers: str = "nnnn", width: int = 4, trained: bool = True, **fields: str) -> Generator:
    """With made-up weights in place of the zeros that training starts from."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(layers, width, 5, base="light", **fields)).double().eval()  # type: ignore[arg-type]
    if trained:
        torch.nn.init.normal_(generator.d.conv.weight, std=0.1)  # type: ignore[union-attr,arg-type]
    return generator


def test_parameters_are_those_counted_by_hand() -> None:
    w = 24
    a, b = 3 * 25 * w + w, w * 9 * w + w
    inner = 3 * 2 * (2 * w * 9 * 2 * w + 2 * w)
    last = 2 * w * 9 * w + w + w * 9 * w + w + 2 * w * w + w
    d = w * 9 * 12 + 12
    assert parameters(GeneratorConfig("nnnn", w, base="light")) == a + b + inner + last + d == 151_116


def test_one_iteration_is_what_the_equations_say() -> None:
    """The first iteration of ---x: the features that are fed back are zeros, and layers 1 to 3 the identity."""
    generator, x = light(), torch.rand(2, 3, 9, 7, dtype=torch.float64)
    w = {name: value.detach() for name, value in generator.named_parameters()}

    def conv(z: Tensor, name: str, padding: int = 1) -> Tensor:
        return F.conv2d(z, w[f"{name}.weight"], w[f"{name}.bias"], padding=padding)

    kernel = w["a.conv.weight"] - w["a.conv.weight"].mean((2, 3), keepdim=True)
    a = F.leaky_relu(F.conv2d(F.pad(x, (2,) * 4, mode="replicate"), kernel, w["a.conv.bias"]), 0.2)
    b = F.leaky_relu(w["b.conv.bias"], 0.2)[None, :, None, None].expand_as(a)
    z = torch.cat([a, b], 1)
    z = conv(z, "layers.3.skip", 0) + conv(F.leaky_relu(conv(z, "layers.3.conv1"), 0.2), "layers.3.conv2")
    small = conv(z, "d.conv")
    large = torch.zeros(2, 3, 18, 14, dtype=torch.float64)
    for colour in range(3):
        for row in range(2):
            for column in range(2):
                large[:, colour, row::2, column::2] = small[:, 4 * colour + 2 * row + column]
    torch.testing.assert_close(next(generator.iterate(x, "---x")), large + bicubic(x))


@pytest.mark.parametrize("layers", ORL_CONFIGURATIONS)
@pytest.mark.parametrize("feedback", ["features", "bicubic"])
def test_every_configuration_starts_as_bicubic_and_learns(layers: str, feedback: str) -> None:
    generator, x = light(layers, 2, trained=False, feedback=feedback), torch.rand(1, 3, 6, 5, dtype=torch.float64)
    images = generator(x, PLAN)
    assert images.shape == (5, 1, 3, 12, 10)
    torch.testing.assert_close(images, bicubic(x).expand_as(images))
    torch.nn.init.normal_(generator.d.conv.weight)  # type: ignore[union-attr,arg-type]
    generator(x, PLAN).square().mean().backward()
    unused = [name for name, parameter in generator.named_parameters() if parameter.grad is None]
    assert not unused


@pytest.mark.parametrize("layers", ["nnnn", "rrrr", "gggg"])
def test_every_kind_of_layer_adds_to_its_input(layers: str) -> None:
    """Otherwise nothing of the image would be left behind four recurrent layers that begin to learn."""
    generator = light(layers, 8)
    x = torch.rand(1, 16, 12, 12, dtype=torch.float64)
    for layer in list(generator.layers)[:3]:
        inner, _ = layer(x, None, 0, "shared")
        assert 0 < (inner - x).std() < 0.5 * x.std()
    last, cell = generator.layers[3], cell_of(generator.layers[3])
    if last is not cell:
        expected = cell(x, None, 0, "shared")[0] + F.conv2d(x, last.skip.weight, last.skip.bias)  # type: ignore[union-attr,arg-type]
        torch.testing.assert_close(last(x, None, 0, "shared")[0], expected)


def test_flat_colours_get_the_same_correction_whichever_they_are() -> None:
    generator = light("nrnr")
    corrections = []
    for colour in ((0.0, 0.0, 0.0), (0.9, 0.1, 0.4), (1.0, 1.0, 1.0)):
        x = torch.tensor(colour, dtype=torch.float64)[None, :, None, None].expand(1, 3, 12, 12)
        corrections.append(generator(x, PLAN) - bicubic(x))
    for correction in corrections[1:]:
        torch.testing.assert_close(correction, corrections[0])


def test_steps_and_the_mirrored_stepper_agree_with_the_generator() -> None:
    generator, x = light("nrnn"), torch.rand(1, 3, 12, 10, dtype=torch.float64)
    plain = list(iterate(Plain(generator), Schedule.parse(PLAN), x))
    torch.testing.assert_close(torch.stack(plain), generator(x, PLAN), rtol=0, atol=0)
    mirrored = torch.stack(list(iterate(Mirrored(Plain(generator)), Schedule.parse(PLAN), x)))
    continued = torch.from_numpy(np.pad(x, ((0, 0), (0, 0), (8, 8), (8, 8)), mode="symmetric"))
    expected = generator(continued, PLAN)[..., 16:-16, 16:-16]
    torch.testing.assert_close(mirrored, expected, rtol=0, atol=0)
    assert iterate(Mirrored(Plain(generator)), Schedule.parse(PLAN), x[..., :1, :1]).__next__().shape == (1, 3, 2, 2)


def test_what_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(AgmError, match=r"feedback='features'.*base=light"):
        GeneratorConfig(feedback="features")
    assert GeneratorConfig(base="light") == GeneratorConfig(base="light", feedback="features", residual=True)


def test_ids_of_runs_on_the_papers_base_are_as_before() -> None:
    assert not {"base", "crops", "loss", "decay", "average", "sampling"} & {
        name for part in RunConfig().to_dict().values() if isinstance(part, dict) for name in part
    }
    changed = RunConfig().replace(base="light", crops=8, loss="l1", decay="cosine", average=0.9, sampling="prefix")
    assert RunConfig.from_dict(changed.to_dict()) == changed
    assert changed.id != RunConfig().id
