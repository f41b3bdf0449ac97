"""Winograd's convolutions are torch's own, up to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agm.anytime.engine import winograd
from agm.anytime.engine.winograd import TILE, Convolution, Scratch, place, tiles, transforms


def convolved(convolution: Convolution, parts: list[Tensor], size: tuple[int, int], **chosen: object) -> Tensor:
    """The image, (N, C, H, W), put together from its strips."""
    image = None
    for strip in convolution(parts, **chosen):  # type: ignore[arg-type]
        if image is None:
            n, columns, channels = strip.y.shape[2], strip.y.shape[4], strip.y.shape[5]
            image = torch.full((n, TILE * tiles(size[0]), TILE * columns, channels), torch.nan, dtype=strip.y.dtype)
        place(strip, image)
    assert image is not None
    return image[:, : size[0], : size[1]].permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def test_one_dimension_by_hand() -> None:
    rng = np.random.default_rng(0)
    signal, kernel = rng.normal(size=6), rng.normal(size=3)
    into, weight, out = (matrix.numpy() for matrix in transforms())
    np.testing.assert_allclose(
        out @ ((weight @ kernel) * (into @ signal)), np.correlate(signal, kernel, "valid"), rtol=1e-12
    )


@given(height=st.integers(1, 11), width=st.integers(1, 11), n=st.integers(1, 2), strip=st.integers(1, 8))
@settings(max_examples=50)
def test_any_size_in_any_strips(height: int, width: int, n: int, strip: int) -> None:
    torch.manual_seed(height * 100 + width)
    x, weight = torch.randn(n, 3, height, width).double(), torch.randn(4, 3, 3, 3).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "STRIP", strip)
        found = convolved(Convolution(weight, Scratch()), [channels_last(x)], (height, width))
    torch.testing.assert_close(found, F.conv2d(x, weight, padding=1))


def test_several_parts_of_which_the_first_is_upsampled() -> None:
    low, high = torch.randn(2, 3, 5, 4).double(), torch.randn(2, 2, 10, 8).double()
    weight = torch.randn(6, 7, 3, 3).double()
    parts = [channels_last(low), channels_last(high)]
    found = convolved(
        Convolution(weight, Scratch()), parts, (10, 8), inputs=slice(1, 6), outputs=slice(2, None), up=True
    )
    x = torch.cat([F.interpolate(low, scale_factor=2, mode="nearest"), high], dim=1)
    torch.testing.assert_close(found, F.conv2d(x, weight[2:, 1:6], padding=1))


def test_memory_used_before_leaves_no_trace() -> None:
    scratch, weight = Scratch(), torch.randn(2, 2, 3, 3)
    large, small = torch.full((1, 13, 9, 2), torch.nan), torch.randn(1, 6, 5, 2)
    fresh = convolved(Convolution(weight, Scratch()), [small], (6, 5))
    convolution = Convolution(weight, scratch)
    convolved(convolution, [large], (13, 9))
    assert torch.equal(convolved(convolution, [small], (6, 5)), fresh)


def test_rounding_at_full_width() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(1, 256, 12, 12), torch.randn(64, 256, 3, 3) / 48
    found = convolved(Convolution(weight, Scratch()), [channels_last(x)], (12, 12))
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    assert exact.std() == pytest.approx(1, abs=0.1)
    assert (found - exact).abs().max() < 5e-5
