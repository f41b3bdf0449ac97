"""The lighter base: parts of a generator that works on the small image and corrects bicubic upsampling.

It keeps A, B, four inner layers with an ORL letter each, D and one image per iteration. It differs from the paper's
base in four things: all inner layers work at L x L and D ends in a sub-pixel convolution (Shi et al., 2016); there is
no batch norm; D's output is added to bicubic upsampling and starts at zero; and every inner layer adds to its input.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from agm.config import GeneratorConfig, Statistics
from agm.networks import layers
from agm.networks.blocks import LEAK

SCALE = 2


class Contrast(nn.Module):
    """A: a 5x5 convolution whose kernels sum to zero for each colour, and LeakyReLU.

    What does not change over 5 pixels gives the same whatever its colour, so a flat colour gets no tint. Outside the
    image its border pixels go on.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 5)
        nn.init.kaiming_normal_(self.conv.weight, LEAK)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def kernel(self) -> Tensor:
        """The weights that are used, (width, 3, 5, 5)."""
        weight = self.conv.weight
        return weight - weight.mean(dim=(2, 3), keepdim=True)

    def forward(self, x: Tensor, t: int, statistics: Statistics) -> Tensor:
        """x: (N, 3, H, W) -> (N, width, H, W)."""
        x = F.pad(x, (2, 2, 2, 2), mode="replicate")
        return F.leaky_relu(F.conv2d(x, self.kernel(), self.conv.bias), LEAK)


class ConvAct(nn.Module):
    """B: a convolution and LeakyReLU, on the last image or on the features that it was made from."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=1)

    def forward(self, x: Tensor, t: int, statistics: Statistics) -> Tensor:
        return F.leaky_relu(self.conv(x), LEAK)


class SubPixel(nn.Module):
    """D: a 3x3 convolution to one small image for each of the four phases of the large one, starting at zero."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 3 * SCALE**2, 3, padding=1)
        nn.init.zeros_(self.conv.weight)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, z: Tensor) -> Tensor:
        """z: (N, inputs, H, W) -> (N, 3, 2H, 2W)."""
        return F.pixel_shuffle(self.conv(z), SCALE)


def parts(config: GeneratorConfig) -> tuple[nn.Module, nn.Module, nn.ModuleList, nn.Module]:
    """A, B, the four inner layers and D."""
    width = config.width
    inner = nn.ModuleList(layers.build(config))
    b = ConvAct(width, width, 3, 1) if config.feedback == "features" else ConvAct(3, width, 4, SCALE)
    return Contrast(width), b, inner, SubPixel(width)
