"""MSE, PSNR and SSIM against scikit-image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from agm.data import bundled
from agm.data.images import resize_all
from agm.errors import AgmError
from agm.metrics import mse, psnr, ssim

Metric = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
METRICS: list[Metric] = [mse, psnr, ssim]


def skimage_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Wang's settings; channels first."""
    return float(
        structural_similarity(
            x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=0
        )
    )


sizes = st.tuples(st.just(3), st.integers(11, 14), st.integers(11, 14))
pairs = sizes.flatmap(
    lambda shape: st.tuples(
        *[arrays(np.float64, shape, elements=st.floats(-0.5, 1.5), fill=st.sampled_from([0.0, 0.3, 1.0]))] * 2
    )
)


@given(pairs)
def test_on_made_up_images(pair: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = pair
    a, b = torch.from_numpy(x.copy()), torch.from_numpy(y.copy())
    assert mse(a, b).item() == pytest.approx(mean_squared_error(x, y), abs=1e-12)
    x, y = x.clip(0, 1), y.clip(0, 1)
    assert ssim(a, b).item() == pytest.approx(skimage_ssim(x, y), abs=1e-8)
    if mean_squared_error(x, y) > 0:
        assert psnr(a, b).item() == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1), abs=1e-8)
    else:
        assert math.isinf(psnr(a, b).item())


@pytest.fixture(scope="module")
def photographs() -> tuple[np.ndarray, np.ndarray]:
    """Real photographs and what bicubic upsampling makes of them, (N, 3, H, W) in [0, 1]."""
    images = bundled.load("photographs").images[::90]
    blurred = resize_all(resize_all(images, 32), 64)
    return tuple(pixels.transpose(0, 3, 1, 2) / 255 for pixels in (images, blurred))  # type: ignore[return-value]


@pytest.mark.parametrize(("dtype", "accuracy"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
def test_on_real_photographs(photographs: tuple[np.ndarray, np.ndarray], dtype: torch.dtype, accuracy: float) -> None:
    x, y = (torch.from_numpy(images).to(dtype) for images in photographs)
    expected = {
        mse: [mean_squared_error(a, b) for a, b in zip(*photographs, strict=True)],
        psnr: [peak_signal_noise_ratio(a, b, data_range=1) for a, b in zip(*photographs, strict=True)],
        ssim: [skimage_ssim(a, b) for a, b in zip(*photographs, strict=True)],
    }
    for metric, values in expected.items():
        np.testing.assert_allclose(metric(x, y).numpy(), values, rtol=accuracy)
    assert 0.3 < min(expected[ssim]) < max(expected[ssim]) < 1
    assert len(expected[mse]) >= 8


def test_psnr_by_hand() -> None:
    x = torch.zeros(3, 2, 2)
    assert psnr(x + 0.1, x).item() == pytest.approx(20.0, abs=1e-4)
    assert psnr(x, x).item() == math.inf


def test_images_are_clamped_but_the_loss_is_not() -> None:
    x, y = torch.rand(2, 3, 12, 12), torch.rand(2, 3, 12, 12)
    wild = x + 3 * torch.randn_like(x)
    for metric in (psnr, ssim):
        torch.testing.assert_close(metric(wild, y), metric(wild.clamp(0, 1), y))
        torch.testing.assert_close(metric(y, wild), metric(y, wild.clamp(0, 1)))
    assert (mse(wild, y) > mse(wild.clamp(0, 1), y)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_iterations_against_one_target(metric: Metric) -> None:
    """(T, N, ...) against (N, ...), one number each, as if each were compared alone."""
    images, target = torch.rand(4, 2, 3, 12, 13), torch.rand(2, 3, 12, 13)
    values = metric(images, target)
    assert values.shape == (4, 2)
    for t in range(4):
        for n in range(2):
            alone = metric(images[t, n], target[n])
            assert alone.shape == ()
            torch.testing.assert_close(values[t, n], alone)
    torch.testing.assert_close(metric(target, images), values)


@pytest.mark.parametrize("metric", METRICS)
def test_sizes_that_differ_are_refused(metric: Metric) -> None:
    for other in [(3, 12, 13), (1, 12, 12), (12, 12)]:
        with pytest.raises(AgmError, match="last three dimensions"):
            metric(torch.rand(3, 12, 12), torch.rand(other))


def test_images_smaller_than_the_window_are_refused() -> None:
    small: Any = torch.rand(3, 10, 64)
    with pytest.raises(AgmError, match="at least 11 x 11 pixels, got 10 x 64"):
        ssim(small, small)
    assert ssim(torch.ones(3, 11, 11), torch.ones(3, 11, 11)).item() == pytest.approx(1.0)


def test_inputs_are_left_alone() -> None:
    x, y = 3 * torch.randn(2, 3, 12, 12), torch.rand(2, 3, 12, 12)
    before = x.clone()
    for metric in METRICS:
        metric(x, y)
    assert torch.equal(x, before)
