"""Image quality, as in Section III-A2. All functions: (..., 3, H, W) in [0, 1] -> one number per image, (...)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from agm.errors import AgmError

WINDOW, SIGMA = 11, 1.5  # Wang et al. 2004: a Gaussian window
MOST_PSNR = 100.0  # dB, of an error of a 400th of an 8-bit step; where a mean, or a picture, has no room for infinity
C1, C2 = 0.01**2, 0.03**2  # their constants for a dynamic range of 1


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error over pixels and channels; not clamped, it is also the loss (Section II-E)."""
    _check(x, y)
    return (x - y).square().mean(dim=(-3, -2, -1))


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """10 log10(1 / MSE) in dB, over RGB, of images clamped to [0, 1]; infinite for equal images."""
    return -10 * torch.log10(mse(x.clamp(0, 1), y.clamp(0, 1)))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of images clamped to [0, 1], averaged over windows that lie inside the image and over RGB.

    Raises AgmError if the images are smaller than the 11 x 11 window.
    """
    _check(x, y)
    if min(x.shape[-2:]) < WINDOW:
        raise AgmError(f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, got {x.shape[-2]} x {x.shape[-1]}")
    shape = (x + y).shape
    x, y = x.clamp(0, 1).expand(shape), y.clamp(0, 1).expand(shape)
    x, y = x.reshape(-1, 1, *shape[-2:]), y.reshape(-1, 1, *shape[-2:])  # (..., 3, H, W) -> (M, 1, H, W)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    denominator = (mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2)
    return (numerator / denominator).mean(dim=(-2, -1)).view(shape[:-2]).mean(dim=-1)  # (M, 1) -> (..., 3) -> (...)


def _blur(x: Tensor) -> Tensor:
    distance = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    kernel = torch.exp(-(distance**2) / (2 * SIGMA**2))
    kernel = kernel / kernel.sum()
    return F.conv2d(F.conv2d(x, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))


def _check(x: Tensor, y: Tensor) -> None:
    if x.dim() < 3 or x.shape[-3:] != y.shape[-3:]:
        raise AgmError(f"images must agree in their last three dimensions, got {tuple(x.shape)} and {tuple(y.shape)}")
