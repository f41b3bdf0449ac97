"""The rivals: published numbers of parameters, shapes, learning, and what makes each of them what it is."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from agm.networks.generator import bicubic
from benchmarks.baselines import ESPCN, FSRCNN, IMDN, RIVALS, SPAN, SRFBN, Distillation, Expanded, Feedback
from benchmarks.measure import macs_per_pixel


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def weights(network: nn.Module) -> int:
    """Without biases and the slopes of PReLU."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.dim() > 1)


def test_published_numbers_of_parameters() -> None:
    # Dong et al. 2016, Section 3.2 and Table 1, for luminance, convolution weights alone
    assert weights(FSRCNN(channels=1)) == 12_464
    assert weights(FSRCNN(channels=1, d=32, s=5, m=1)) == 3_937
    # Hui et al. 2019: 694K; Li et al. 2019 for SRFBN-S at x2: 282K
    assert round(count(IMDN()) / 1000) == 694
    assert round(count(SRFBN()) / 1000) == 282
    # SPAN with 28 features at x4, Ren et al. 2024 (NTIRE 2024 challenge on efficient super-resolution), Table 1:
    # 0.151 M, and 9.83 G multiply-adds for an input of 256 x 256
    span = SPAN(scale=4).for_inference()
    assert round(count(span) / 1e6, 3) == 0.151
    (macs,) = macs_per_pixel(lambda x: [span(x)], 16)
    assert round(macs * 256**2 / 1e9, 2) == 9.83
    # Shi et al. 2016 print no number, only the layers: 5x5x64, 3x3x32, 3x3 to 2 x 2 pixels, with biases
    assert count(ESPCN(channels=1)) == (25 * 64 + 64) + (9 * 64 * 32 + 32) + (9 * 32 * 4 + 4)


def test_numbers_of_parameters_by_hand() -> None:
    width, kept, rest = 64, 16, 48
    block = (9 * width * width + width) + 2 * (9 * rest * width + width) + (9 * rest * kept + kept)
    block += (width * width + width) + (width * 4 + 4) + (4 * width + width)
    assert count(Distillation(width)) == block
    m = 32
    projection, slopes = 36 * m * m + m, 15
    feedback = (2 * m * m + m) + 6 * projection + 2 * (2 * m * m + m) + 2 * (3 * m * m + m) + (3 * m * m + m)
    assert count(Feedback(m, 3)) == feedback + (slopes - 3)
    outer = (9 * 3 * 4 * m + 4 * m) + (4 * m * m + m) + projection + (9 * m * 3 + 3)
    assert count(SRFBN()) == feedback + outer + slopes


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (16, 16)])
def test_images_are_twice_as_large(name: str, size: tuple[int, int]) -> None:
    height, width = size
    images = list(RIVALS[name]().iterate(torch.rand(2, 3, height, width)))
    assert len(images) == (4 if name == "srfbn-s" else 1)
    for image in images:
        assert image.shape == (2, 3, 2 * height, 2 * width)
        assert image.isfinite().all()


def test_bicubic_is_pillows() -> None:
    """Pillow rounds after each of its two passes; no pixel here is so bright or dark that it would clip."""
    pixels = np.random.default_rng(0).integers(80, 176, (12, 9, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((18, 24), Image.Resampling.BICUBIC))
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    (image,) = RIVALS["bicubic"]().iterate(x)
    rounded = (image[0].permute(1, 2, 0).clamp(0, 1) * 255).round().numpy()
    assert np.abs(rounded - expected).max() <= 1
    assert torch.equal(image, bicubic(x))


@pytest.mark.parametrize("name", [name for name in RIVALS if name not in ("bicubic", "srfbn-s")])
def test_a_network_without_output_is_bicubic(name: str) -> None:
    network = RIVALS[name]()
    for parameter in network.last.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(1, 3, 6, 7)
    (image,), (expected,) = network.iterate(x), RIVALS["bicubic"]().iterate(x)
    assert torch.equal(image, expected)


def test_spans_form_for_inference_is_the_same_function() -> None:
    network, x = SPAN(width=8).double(), torch.rand(2, 3, 7, 9, dtype=torch.float64)
    fast = network.for_inference()
    assert not any(isinstance(module, Expanded) for module in fast.modules())
    torch.testing.assert_close(fast(x), network(x), rtol=1e-9, atol=1e-9)


def test_an_expanded_convolution_by_hand() -> None:
    """One channel: the product of the three kernels, with the skip in its middle; the biases go through."""
    layer = Expanded(1, 1)
    for parameter, value in ((layer.enter, 2.0), (layer.middle, 3.0), (layer.leave, 5.0), (layer.skip, 7.0)):
        nn.init.constant_(parameter.weight, value)
        nn.init.constant_(parameter.bias, 1.0)
    one = layer.merged()
    through = 2 * 2 * 2 * 3 * 5  # two channels in between, twice
    assert one.weight[0, 0].tolist() == [[through] * 3, [through, through + 7, through], [through] * 3]
    assert one.bias.tolist() == [2 * 5 * (2 * 9 * 3 + 1) + 1 + 1]


def test_feedback_iterations_share_weights_and_build_on_each_other() -> None:
    network, x = SRFBN().eval(), torch.rand(1, 3, 8, 8)
    before = list(network.iterate(x))
    assert all((a - b).abs().max() > 1e-4 for a, b in itertools.pairwise(before))
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.feedback.leave[0].bias += 0.1
    assert all((a - b).abs().max() > 1e-4 for a, b in zip(before, changed.iterate(x), strict=True))
    # Fewer iterations: the same images, fewer of them
    network.iterations = 2
    assert all(torch.equal(a, b) for a, b in zip(before, network.iterate(x), strict=False))


def test_feedback_takes_in_the_hidden_features() -> None:
    block, features = Feedback(8, 2), torch.rand(1, 8, 6, 6)
    assert (block(features, features) - block(features, torch.zeros_like(features))).abs().max() > 1e-4


def test_attention_sees_mean_plus_deviation() -> None:
    block, seen = Distillation(16), []
    block.attention.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    block.fuse.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    block(torch.rand(1, 16, 8, 8))
    z = seen[1] / block.attention(seen[0])  # what the attention was multiplied with
    expected = z.detach().numpy().std((2, 3)) + z.detach().numpy().mean((2, 3))
    np.testing.assert_allclose(seen[0].detach().numpy()[:, :, 0, 0], expected, rtol=1e-3, atol=1e-5)


def test_flat_features_have_a_gradient() -> None:
    """The deviation's own has none at zero."""
    block, flat = Distillation(16), torch.zeros(1, 16, 8, 8, requires_grad=True)
    nn.init.zeros_(block.steps[-1].weight)
    block(flat).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


@pytest.mark.parametrize("name", [name for name in RIVALS if name != "bicubic"])
def test_a_few_steps_lower_the_loss(name: str) -> None:
    network = RIVALS[name]()
    target = torch.rand(2, 3, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)  # (2, 3, 16, 16)
    x = nn.functional.avg_pool2d(target, 2)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = torch.stack([(image - target).square().mean() for image in network.iterate(x)]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
