"""The alternatives that a user has: small networks for x2 super-resolution, written from their papers.

All take RGB images x of (N, 3, H, W) in [0, 1] and give (N, 3, 2H, 2W), not clamped, one image per iteration; all but
the feedback network have one iteration. Each corrects bicubic upsampling, as ours does and as none of the papers has
it, since after a short training all are better for it (SRFBN corrects bilinear upsampling by itself). The papers' own
training (hundreds of epochs on DIV2K or 91 images) is not repeated here, see `frontier.py`. Where a paper treats
luminance alone, `channels` is 1 for it and 3 here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agm.networks.generator import SCALE, bicubic

SLOPE = 0.2
"""Initial slope of SRFBN's PReLU."""

MEAN = (0.4488, 0.4371, 0.4040)
"""DIV2K's mean colour."""


class Network(nn.Module):
    """A network with one image per iteration; `forward` is what it adds to bicubic upsampling."""

    def iterate(self, x: Tensor) -> Iterator[Tensor]:
        """x: (N, 3, H, W) in [0, 1] -> the image of each iteration, (N, 3, 2H, 2W)."""
        yield bicubic(x) + self(x)

    def drawn(self, x: Tensor, epoch: int, step: int) -> Iterator[Tensor]:
        """The images that a training step sees."""
        return self.iterate(x)

    def for_inference(self) -> Network:
        """The same function in its fastest form."""
        return self.eval()


class Bicubic(Network):
    """Bicubic upsampling: the project's own, no parameters."""

    def iterate(self, x: Tensor) -> Iterator[Tensor]:
        yield bicubic(x)


class ESPCN(Network):
    """Shi et al. 2016, Sections 2 and 3.1: 5x5x64, 3x3x32, 3x3 to the pixels of the upsampled image; tanh between.

    The last layer is linear, by their equation (4); some implementations put tanh after it, and others (PyTorch's
    example among them) have four layers and ReLU.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(channels, 64, 5), nn.Tanh(), conv(64, 32), nn.Tanh())
        self.last = conv(32, channels * SCALE**2)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.last(self.features(x)), SCALE)


class FSRCNN(Network):
    """Dong et al. 2016, Section 3.2: features (d), shrinking (s), m times mapping, expanding (d), deconvolution.

    PReLU with a slope per channel. Initial weights as in their Section 4.1: He's, and almost zero for the
    deconvolution. They train it with a tenth of the others' learning rate and SGD; here all layers have the same.
    """

    def __init__(self, channels: int = 3, d: int = 56, s: int = 12, m: int = 4) -> None:
        super().__init__()
        layers = [conv(channels, d, 5), conv(d, s, 1), *(conv(s, s) for _ in range(m)), conv(s, d, 1)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, a=0.25)
        self.features = nn.Sequential(*(m for layer in layers for m in (layer, nn.PReLU(layer.out_channels))))
        self.last = nn.ConvTranspose2d(d, channels, 9, stride=SCALE, padding=4, output_padding=SCALE - 1)
        nn.init.normal_(self.last.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        image: Tensor = self.last(self.features(x))
        return image


class IMDN(Network):
    """Hui et al. 2019, Section 3: blocks that distil a quarter of their features at each of four steps.

    Published: width 64, 6 blocks. Following the authors' code, attention comes before the block's 1x1 convolution, the
    bottleneck of the attention has a 16th of the channels, and LeakyReLU a slope of 0.05.
    """

    def __init__(self, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.first = conv(3, width)
        self.blocks = nn.ModuleList(Distillation(width) for _ in range(blocks))
        self.gather = nn.Sequential(conv(blocks * width, width, 1), nn.LeakyReLU(0.05), conv(width, width))
        self.last = conv(width, 3 * SCALE**2)

    def forward(self, x: Tensor) -> Tensor:
        first = z = self.first(x)
        outputs = []
        for block in self.blocks:
            z = block(z)
            outputs.append(z)
        return F.pixel_shuffle(self.last(self.gather(torch.cat(outputs, 1)) + first), SCALE)


class Distillation(nn.Module):
    """The information multi-distillation block (IMDB), Fig. 4: (N, width, H, W) -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kept = kept = width // 4
        rest = width - kept
        steps, few = (conv(width, width), conv(rest, width), conv(rest, width), conv(rest, kept)), width // 16
        self.steps = nn.ModuleList(steps)
        self.attention = nn.Sequential(conv(width, few, 1), nn.ReLU(), conv(few, width, 1), nn.Sigmoid())
        self.fuse = conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        rest, distilled = x, []
        for step in self.steps[:-1]:
            z = F.leaky_relu(step(rest), 0.05)
            distilled.append(z[:, : self.kept])
            rest = z[:, self.kept :]
        z = torch.cat([*distilled, self.steps[-1](rest)], 1)
        # Contrast-aware channel attention: deviation plus mean of each channel, (N, width, 1, 1)
        contrast = z.std((2, 3), correction=0, keepdim=True) + z.mean((2, 3), keepdim=True)
        fused: Tensor = self.fuse(z * self.attention(contrast))
        return fused + x


class SRFBN(Network):
    """Li et al. 2019, Section 3, as SRFBN-S: m = 32 features, G = 3 projection groups, T = 4 iterations.

    The same features of the input enter every iteration, together with the hidden features that the one before left;
    every iteration adds to bilinear upsampling. Following the authors' code: one PReLU slope per layer, iteration 1
    takes the input's features for the hidden ones, and DIV2K's mean colour is subtracted before and added after.
    Initial weights are He's, by the paper; the code multiplies them by 0.1, for images in [0, 255].
    """

    mean: Tensor

    def __init__(self, m: int = 32, groups: int = 3, iterations: int = 4) -> None:
        super().__init__()
        self.iterations = iterations
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.first = nn.Sequential(prelu(conv(3, 4 * m)), prelu(conv(4 * m, m, 1)))
        self.feedback = Feedback(m, groups)
        self.up = up_projection(m)
        self.last = conv(m, 3)

    def iterate(self, x: Tensor) -> Iterator[Tensor]:
        base = F.interpolate(x, scale_factor=SCALE, mode="bilinear", align_corners=False)
        features = hidden = self.first(x - self.mean)
        for _ in range(self.iterations):
            hidden = self.feedback(features, hidden)
            yield base + self.last(self.up(hidden))


class Feedback(nn.Module):
    """The feedback block, Section 3.3: projections up and down, each of which sees all earlier ones of its kind."""

    def __init__(self, m: int, groups: int) -> None:
        super().__init__()
        self.enter = prelu(conv(2 * m, m, 1))
        self.gather_low = nn.ModuleList(prelu(conv((i + 1) * m, m, 1)) if i else nn.Identity() for i in range(groups))
        self.gather_high = nn.ModuleList(prelu(conv((i + 1) * m, m, 1)) if i else nn.Identity() for i in range(groups))
        self.up = nn.ModuleList(up_projection(m) for _ in range(groups))
        self.down = nn.ModuleList(prelu(nn.Conv2d(m, m, 6, stride=SCALE, padding=2)) for _ in range(groups))
        self.leave = prelu(conv(groups * m, m, 1))

    def forward(self, features: Tensor, hidden: Tensor) -> Tensor:
        """Two of (N, m, H, W) -> (N, m, H, W)."""
        low, high = [self.enter(torch.cat([features, hidden], 1))], []
        for i, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            high.append(up(self.gather_low[i](torch.cat(low, 1))))
            low.append(down(self.gather_high[i](torch.cat(high, 1))))
        left: Tensor = self.leave(torch.cat(low[1:], 1))
        return left


class SPAN(Network):
    """Wan et al. 2024, Section 3: six blocks whose attention has no parameters, features of four depths joined.

    28 features, as in the NTIRE 2024 challenge on efficient super-resolution, which it won. Following the authors'
    code, the convolutions have biases, the network works on [-255, 255], and of the last block what is joined is its
    first convolution's output before the activation.
    """

    mean: Tensor

    def __init__(self, width: int = 28, scale: int = SCALE) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.first = Expanded(3, width)
        self.blocks = nn.ModuleList(Swift(width) for _ in range(6))
        self.after = Expanded(width, width)
        self.gather = conv(4 * width, width, 1)
        self.last = conv(width, 3 * scale**2)

    def forward(self, x: Tensor) -> Tensor:
        first = z = self.first(255 * (x - self.mean))
        outputs = []
        for block in self.blocks:
            z, inner = block(z)
            outputs.append(z)
        joined = torch.cat([first, self.after(z), outputs[0], inner], 1)
        return F.pixel_shuffle(self.last(self.gather(joined)), self.scale) / 255

    def for_inference(self) -> Network:
        """A copy in which each expanded convolution is one of 3x3."""
        fast = copy.deepcopy(self).eval()
        for name, module in self.named_modules():
            if isinstance(module, Expanded):
                parent, _, own = name.rpartition(".")
                setattr(fast.get_submodule(parent), own, module.merged())
        return fast


class Swift(nn.Module):
    """The block SPAB, Section 3.2: three convolutions; their output o, shifted to be odd, weighs o plus the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Expanded(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, width, H, W) -> the same shape, and the first convolution's output."""
        inner = self.convs[0](x)
        o = self.convs[2](F.silu(self.convs[1](F.silu(inner))))
        return (o + x) * (torch.sigmoid(o) - 0.5), inner


class Expanded(nn.Module):
    """SPAN's re-parametrised convolution: 1x1 to twice the channels, 3x3, 1x1 back, and a 1x1 one beside them.

    All are linear, so together they are one 3x3 convolution. The zeros around the image are laid before the first 1x1,
    or its bias would not reach the border.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.skip = conv(inputs, outputs, 1)
        self.enter, self.leave = conv(inputs, 2 * inputs, 1), conv(2 * outputs, outputs, 1)
        self.middle = nn.Conv2d(2 * inputs, 2 * outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        z: Tensor = self.leave(self.middle(self.enter(F.pad(x, (1, 1, 1, 1))))) + self.skip(x)
        return z

    @torch.no_grad()
    def merged(self) -> nn.Conv2d:
        """The same as one convolution."""
        one = conv(self.skip.in_channels, self.skip.out_channels).to(self.skip.weight)
        enter, leave = self.enter.weight[:, :, 0, 0], self.leave.weight[:, :, 0, 0]
        one.weight.copy_(torch.einsum("om,mnhw,ni->oihw", leave, self.middle.weight, enter))
        one.weight[:, :, 1, 1] += self.skip.weight[:, :, 0, 0]
        assert one.bias is not None
        one.bias.copy_(self(one.weight.new_zeros(1, self.skip.in_channels, 1, 1))[0, :, 0, 0])
        return one


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def prelu(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """A layer of SRFBN, with He's initial weights: PyTorch's would let the signal die out in so deep a network."""
    fan = layer.in_channels * math.prod(layer.kernel_size)
    if isinstance(layer, nn.ConvTranspose2d):
        fan //= SCALE**2  # each output pixel sees a quarter of the kernel
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (1 + SLOPE**2) / fan))
    return nn.Sequential(layer, nn.PReLU(init=SLOPE))


def up_projection(m: int) -> nn.Sequential:
    """A deconvolution to twice the size; kernel 6 is the paper's for x2."""
    return prelu(nn.ConvTranspose2d(m, m, 6, stride=SCALE, padding=2))


RIVALS: dict[str, Callable[[], Network]] = {
    "bicubic": Bicubic,
    "espcn": ESPCN,
    "fsrcnn": FSRCNN,
    "imdn-small": partial(IMDN, width=32, blocks=3),
    "imdn": IMDN,
    "srfbn-s": SRFBN,
    "span": SPAN,
}
"""By name. IMDN-small is IMDN of half the width with half the blocks: the authors have no such one."""
