"""The generator of Fig. 1 against numpy, and what AEL and ORL promise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import reference
from support.modules import shake

from agm import Generator, GeneratorConfig, Schedule
from agm.config import ORL_CONFIGURATIONS
from agm.errors import AgmError
from agm.networks.generator import bicubic
from agm.networks.layers.conv_lstm import ConvLSTM
from agm.networks.layers.plain import PlainLayer

MIXED = "---x (1) - x--x (1) - -x-x (1) - xxxx (2) - x-xx (1)"


def network(layers: str = "rnrn", width: int = 1, iterations: int = 3, **fields: Any) -> Generator:
    config = GeneratorConfig(layers=layers, width=width, iterations=iterations, **fields)
    return shake(Generator(config).double()).eval()  # type: ignore[return-value]


def picture(height: int = 3, width: int = 3, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, height, width, dtype=torch.float64)


def masks(schedule: str) -> list[tuple[bool, ...]]:
    return list(Schedule.parse(schedule))


@pytest.mark.parametrize("schedule", ["xxxx (4)", MIXED])
@pytest.mark.parametrize("layers", ["rrrr", "nnnn", "rnrn", "nnnr", "rrrn"])
def test_the_whole_generator_is_the_papers(layers: str, schedule: str) -> None:
    """All letters, every iteration, also past the configured T = 3."""
    generator, x = network(layers), picture(3, 4, count=2)
    expected = reference.generator(reference.weights_of(generator), x.numpy(), layers, masks(schedule), iterations=3)
    np.testing.assert_allclose(generator(x, schedule).detach().numpy(), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "fields",
    [
        {"statistics": "iteration"},
        {"statistics": "batch"},
        {"feedback": "bicubic"},
        {"upsampling": "bilinear"},
        {"residual": True},
        {"peephole": True},
        {"residual": True, "feedback": "bicubic", "upsampling": "bilinear", "statistics": "iteration"},
    ],
    ids=str,
)
def test_every_switch_is_what_it_says(fields: dict[str, Any]) -> None:
    generator, x = network("rnnr", **fields), picture(4, 3, count=2)
    known = {name: value for name, value in fields.items() if name != "peephole"}
    weights = reference.weights_of(generator)
    expected = reference.generator(weights, x.numpy(), "rnnr", masks(MIXED), iterations=3, **known)
    # Pillow keeps floating-point images in single precision.
    np.testing.assert_allclose(generator(x, MIXED).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    plain = network("rnnr")
    plain.load_state_dict({name: w for name, w in generator.state_dict().items() if "peephole" not in name})
    assert not torch.allclose(plain(x, MIXED), generator(x, MIXED), atol=1e-3)


def test_the_kind_of_statistics_can_be_chosen_per_call() -> None:
    generator, x = network("nnnn"), picture(count=2)
    outputs = [generator(x, statistics=kind) for kind in ("shared", "iteration", "batch")]
    torch.testing.assert_close(generator(x), outputs[0])
    torch.testing.assert_close(network("nnnn", statistics="batch")(x), outputs[2])
    assert not torch.allclose(outputs[0], outputs[1])
    assert not torch.allclose(outputs[1], outputs[2])


def test_a_misspelt_kind_of_statistics_is_refused() -> None:
    wrong: Any = "shard"
    with pytest.raises(AgmError, match="shard"):
        network("nnnn")(picture(), statistics=wrong)


@pytest.mark.parametrize("layers", ORL_CONFIGURATIONS)
def test_letters_are_read_from_the_bottom(layers: str) -> None:
    generator = Generator(GeneratorConfig(layers=layers, width=1))
    kinds = {"r": ConvLSTM, "n": PlainLayer}
    assert [type(layer) for layer in generator.layers] == [kinds[letter] for letter in layers]


def test_an_inactive_layer_is_the_identity_and_its_state_stays_untouched() -> None:
    """The states themselves, through `step`: the very same tensors, not equal ones."""
    generator, x = network("rrrr"), picture()
    context = generator.encode(x)
    _, memory = generator.step(context, generator.first_memory(x, context), (True,) * 4, 0)
    states = memory.states
    for mask in [(False, False, False, True), (True, False, True, True), (False, True, False, True)]:
        copies = [(h.clone(), c.clone()) for h, c in states]
        _, after = generator.step(context, memory, mask, 1)
        for active, old, new, copy in zip(mask, states, after.states, copies, strict=True):
            assert torch.equal(old[0], copy[0])  # nothing is written into a state that was handed in
            assert torch.equal(old[1], copy[1])
            if active:
                assert not torch.equal(new[0], copy[0])
            else:
                assert new is old


def test_layers_that_were_never_active_have_no_state() -> None:
    generator, x = network("rrrr"), picture()
    context = generator.encode(x)
    _, memory = generator.step(context, generator.first_memory(x, context), (True, False, True, True), 0)
    assert [state is None for state in memory.states] == [False, True, False, False]


def test_weights_of_inactive_layers_do_not_matter() -> None:
    generator, x = network("rnrr"), picture()
    before = generator(x, "---x (3)")
    for layer in generator.layers[:3]:
        shake(layer, seed=9)
    torch.testing.assert_close(generator(x, "---x (3)"), before, rtol=0, atol=0)
    assert not torch.allclose(generator(x, "--xx (3)"), before)


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_upsampling_happens_with_all_inner_layers_inactive(upsampling: Any) -> None:
    generator, x = network("nnnn", upsampling=upsampling), picture(5, 3)
    context = generator.encode(x)
    memory = generator.first_memory(x, context)
    image, _ = generator.step(context, memory, (False, False, False, True), 0)
    z = torch.cat([context.features, generator.b(memory.previous, 0, "shared")], dim=1)
    enlarged = getattr(reference, upsampling)(z.detach().numpy())
    fourth, _ = generator.layers[3](torch.from_numpy(enlarged), None, 0, "shared")
    torch.testing.assert_close(image, generator.d(fourth))
    assert image.shape == (1, 3, 10, 6)


def test_a_layer_that_becomes_active_late_starts_from_the_zero_state() -> None:
    generator, x = network("rrrr"), picture()
    context = generator.encode(x)
    memory = generator.first_memory(x, context)
    for t in range(2):
        _, memory = generator.step(context, memory, (False, False, False, True), t)
    zeros = (torch.zeros(1, 2, 3, 3, dtype=torch.float64),) * 2
    high = (torch.zeros(1, 2, 6, 6, dtype=torch.float64),) * 2
    explicit = memory._replace(states=(zeros, zeros, high, memory.states[3]))
    expected = generator.step(context, explicit, (True,) * 4, 2)
    torch.testing.assert_close(generator.step(context, memory, (True,) * 4, 2), expected)


def test_iterate_is_lazy_and_forward_stacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, x = network(), picture(count=2)
    steps: list[int] = []
    step = Generator.step
    monkeypatch.setattr(Generator, "step", lambda self, *args: steps.append(args[3]) or step(self, *args))
    images = generator.iterate(x, "xxxx (4)")
    assert isinstance(images, Iterator)
    assert steps == []
    first = next(images)
    assert steps == [0]
    rest = list(images)
    assert steps == [0, 1, 2, 3]
    assert first.shape == (2, 3, 6, 6)
    torch.testing.assert_close(generator(x, "xxxx (4)"), torch.stack([first, *rest]), rtol=0, atol=0)


def test_part_a_runs_once_per_image(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, calls = network(), []
    generator.a.register_forward_hook(lambda *_: calls.append(1))
    generator(picture(), "xxxx (5)")
    assert calls == [1]


@pytest.mark.parametrize("length", [1, 2, 7])
def test_schedules_may_be_shorter_or_longer_than_t(length: int) -> None:
    generator, x = network(iterations=3), picture()
    longest = generator(x, "xxxx (7)")
    assert generator(x).shape[0] == 3
    torch.testing.assert_close(generator(x, f"xxxx ({length})"), longest[:length])
    torch.testing.assert_close(generator(x, Schedule.parse("xxxx (7)").take(length)), longest[:length])


def test_letters_that_disagree_with_the_network_are_refused() -> None:
    generator = network("rrnr")
    assert generator.resolve("r--r (2) - rrnr (1)").masks[0] == (True, False, False, True)
    for text, message in [("rrrr (3)", "has r for layer 3, the network has n"), ("xxxn (3)", "has n for layer 4")]:
        with pytest.raises(AgmError, match=message):
            next(generator.iterate(picture(), text))


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 4, 4, 4), (1, 4, 4, 3), (1, 1, 4, 4)])
def test_input_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AgmError, match=r"expected images of shape \(N, 3, H, W\)"):
        next(network().iterate(torch.rand(shape, dtype=torch.float64)))


@settings(max_examples=15)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["rrrr", "nnnn", "nrnr"]))
def test_images_of_any_size(height: int, width: int, layers: str) -> None:
    generator = network(layers, feedback="bicubic")
    assert generator(picture(height, width), MIXED).shape == (6, 1, 3, 2 * height, 2 * width)


def test_runs_do_not_disturb_each_other() -> None:
    """No state on the module: two interleaved runs give what each gives alone."""
    generator, x, y = network("rrrr"), picture(), picture()
    alone = generator(x), generator(y)
    together = list(zip(generator.iterate(x), generator.iterate(y), strict=True))
    torch.testing.assert_close(torch.stack([a for a, _ in together]), alone[0], rtol=0, atol=0)
    torch.testing.assert_close(torch.stack([b for _, b in together]), alone[1], rtol=0, atol=0)


def test_images_of_a_batch_do_not_disturb_each_other() -> None:
    generator, x = network("rnrn"), picture(count=3)
    torch.testing.assert_close(generator(x)[:, 1:2], generator(x[1:2]))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (7, 5), (1, 3), (16, 9)])
def test_bicubic_is_pillows(height: int, width: int) -> None:
    x = torch.rand(2, 3, height, width)
    expected = np.empty((2, 3, 2 * height, 2 * width), dtype=np.float32)
    for n in range(2):
        for channel in range(3):
            image = Image.fromarray(x[n, channel].numpy())
            assert image.mode == "F"
            expected[n, channel] = np.asarray(image.resize((2 * width, 2 * height), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(bicubic(x).numpy(), expected, atol=2e-6)


def test_the_same_seed_gives_the_same_network() -> None:
    networks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        networks.append(Generator(GeneratorConfig(width=2)).state_dict())
    torch.testing.assert_close(networks[0], networks[1], rtol=0, atol=0)
    assert not torch.equal(networks[0]["d.weight"], networks[2]["d.weight"])


def test_an_untrained_correction_of_bicubic_upsampling_is_zero() -> None:
    x = torch.rand(2, 3, 6, 5)
    for image in Generator(GeneratorConfig("rnrn", 2, 3, residual=True)).iterate(x):
        torch.testing.assert_close(image, bicubic(x))
