"""The model in float64 numpy, written from the paper's equations and sharing no code with agm.

`weights` are a module's state dict as float64 arrays. Arrays of images and features are (N, C, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import correlate2d
from torch import nn

Array = NDArray[np.float64]
Weights = Mapping[str, Array]


def weights_of(module: nn.Module) -> dict[str, Array]:
    return {name: tensor.detach().double().numpy() for name, tensor in module.state_dict().items()}


def part(weights: Weights, prefix: str) -> dict[str, Array]:
    return {name.removeprefix(f"{prefix}."): w for name, w in weights.items() if name.startswith(f"{prefix}.")}


def convolve(x: Array, kernel: Array, stride: int = 1) -> Array:
    """Zero padding of one pixel, as every convolution of the model has it. kernel: (outputs, inputs, k, k)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows = []
    for image in padded:
        maps = [
            sum(correlate2d(image[i], one[i], mode="valid") for i in range(len(one)))  # sum over input channels
            for one in kernel
        ]
        rows.append(np.stack(maps)[:, ::stride, ::stride])
    return np.stack(rows)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def leaky_relu(x: Array) -> Array:
    return np.where(x > 0, x, 0.2 * x)


def channelwise(values: Array) -> Array:
    return values.reshape(1, -1, 1, 1)


def normalise(x: Array, weights: Weights, row: int | None) -> Array:
    """Batch norm: with the running statistics of a row, or with those of the batch where row is None."""
    if row is None:
        mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    else:
        mean, variance = weights["running_mean"][row], weights["running_var"][row]
    scaled = (x - channelwise(mean)) / np.sqrt(channelwise(variance) + 1e-5)
    return channelwise(weights["weight"]) * scaled + channelwise(weights["bias"])


def plain_layer(weights: Weights, x: Array, row: int | None) -> Array:
    """u = BN(l(C1 * x)), o = BN(C2 * u)."""
    u = normalise(leaky_relu(convolve(x, weights["conv1.weight"])), part(weights, "norm1"), row)
    return normalise(convolve(u, weights["conv2.weight"]), part(weights, "norm2"), row)


def conv_lstm(weights: Weights, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """The five equations of Section II-C, each with its own kernels; returns h_t and c_t."""
    inputs, outputs = x.shape[1], h.shape[1]
    kernels = np.split(weights["gates.weight"], 4)
    biases = np.split(weights["gates.bias"], 4)
    w_xi, w_xf, w_xc, w_xo = (kernel[:, :inputs] for kernel in kernels)
    w_hi, w_hf, w_hc, w_ho = (kernel[:, inputs:] for kernel in kernels)
    b_i, b_f, b_c, b_o = (channelwise(bias) for bias in biases)
    w_ci, w_cf, w_co = weights.get("peephole", np.zeros((3, outputs, 1, 1)))
    i = sigmoid(convolve(x, w_xi) + convolve(h, w_hi) + w_ci * c + b_i)
    f = sigmoid(convolve(x, w_xf) + convolve(h, w_hf) + w_cf * c + b_f)
    new = f * c + i * np.tanh(convolve(x, w_xc) + convolve(h, w_hc) + b_c)
    o = sigmoid(convolve(x, w_xo) + convolve(h, w_ho) + w_co * new + b_o)
    return o * np.tanh(new), new


def conv_gru(weights: Weights, x: Array, h: Array) -> Array:
    """Ballas et al. (2016), equations 10 to 13."""
    inputs = x.shape[1]
    (w_u, w_s), (b_u, b_s) = np.split(weights["gates.weight"], 2), np.split(weights["gates.bias"], 2)
    v, b = weights["candidate.weight"], weights["candidate.bias"]

    def both(kernel: Array, bias: Array, hidden: Array) -> Array:
        return convolve(x, kernel[:, :inputs]) + convolve(hidden, kernel[:, inputs:]) + channelwise(bias)

    u, s = sigmoid(both(w_u, b_u, h)), sigmoid(both(w_s, b_s, h))
    return (1 - u) * h + u * np.tanh(both(v, b, s * h))


def nearest(x: Array) -> Array:
    return x.repeat(2, axis=2).repeat(2, axis=3)


def bilinear(x: Array) -> Array:
    """Twice as large; pixel centres lie at half-integers and the border is repeated."""

    def along(values: Array, axis: int) -> Array:
        size = values.shape[axis]
        position = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, size - 1)
        share = np.expand_dims(position - low, tuple(range(1, 4 - axis)))
        return values.take(low, axis) * (1 - share) + values.take(high, axis) * share

    return along(along(x, 2), 3)


def bicubic(x: Array) -> Array:
    """Pillow's own kernel, on floating-point images: (N, 3, H, W) -> (N, 3, 2H, 2W)."""
    size = (2 * x.shape[3], 2 * x.shape[2])
    return np.stack(
        [
            np.stack(
                [
                    np.asarray(Image.fromarray(c.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
                    for c in image
                ]
            )
            for image in x
        ]
    ).astype(np.float64)


def generator(
    weights: Weights,
    x: Array,
    layers: str,
    masks: Sequence[Sequence[bool]],
    *,
    iterations: int,
    statistics: str = "shared",
    feedback: str = "zeros",
    upsampling: str = "nearest",
    residual: bool = False,
) -> Array:
    """All iterations of Fig. 1, from zero states: (T, N, 3, 2H, 2W)."""

    def row(t: int) -> int | None:
        return {"shared": iterations, "iteration": min(t, iterations - 1), "batch": None}[statistics]

    enlarge = {"nearest": nearest, "bilinear": bilinear}[upsampling]
    n, _, height, width = x.shape
    a = leaky_relu(normalise(convolve(x, weights["a.conv.weight"]), part(weights, "a.norm"), row(0)))
    previous = bicubic(x) if feedback == "bicubic" else np.zeros((n, 3, 2 * height, 2 * width))
    states: list[tuple[Array, Array]] = []
    for i, letter in enumerate(layers):
        scale = 1 if i < 2 else 2
        channels = len(part(weights, f"layers.{i}")["gates.bias"]) // 4 if letter == "r" else 1
        zeros = np.zeros((n, channels, scale * height, scale * width))
        states.append((zeros, zeros))
    images = []
    for t, mask in enumerate(masks):
        b = leaky_relu(normalise(convolve(previous, weights["b.conv.weight"], 2), part(weights, "b.norm"), row(t)))
        z = np.concatenate([a, b], axis=1)
        for i, letter in enumerate(layers):
            if i == 2:
                z = enlarge(z)
            own = part(weights, f"layers.{i}")
            if mask[i] and letter == "r":
                z, cell = conv_lstm(own, z, *states[i])
                states[i] = (z, cell)
            elif mask[i]:
                z = plain_layer(own, z, row(t))
        previous = convolve(z, weights["d.weight"]) + channelwise(weights["d.bias"])
        if residual:
            previous = previous + bicubic(x)
        images.append(previous)
    return np.stack(images)
