"""Integer-valued layers, exact on every device: what class X is built on.

Activations, weights and sums are integers held in float32. As long as no partial sum reaches 2 ** 24 in magnitude, each
addition is exact, so that the order in which a kernel adds does not matter; `check_sums` is the proof for one layer. A
layer divides its sums by a power of two and rounds them half up.

    activation    1 / 512 a unit, -BOUND..BOUND        weight    1 / 256 a unit        bias    as an activation

Layers whose roundings would show in what they make, transforms of many bits, have weights of 1 / 2048: 8 times a coarse
part and a fine part of -4..3, each with sums of its own that stay exact.

In `Smooth` arithmetic, for training, nothing is rounded and everything else is the same: what it computes differs from
the exact result by roundings alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nvcodec.errors import MalformedError
from nvcodec.jit import compiled
from nvcodec.models.kept import Kept

UNIT = 512  # an activation of 1
FINE = 256  # a weight of 1
PRECISE = 2048  # one of 1 in a precise layer
PARTS = PRECISE // FINE
BOUND = 2047  # of activations
EXACT_SUMS = 1 << 24
LEAK = 4  # a negative activation is divided by it
FEW = 8  # outputs of a layer that are worked for two samples at a time, on CPUs

Floats = NDArray[np.float32]
Stride = int | tuple[int, int]


@dataclass(frozen=True)
class Arithmetic:
    """exact: values are integers, rounded as the format says. Otherwise they are real, for gradients.

    brief: factors of layers that are not precise are bfloat16, which some processors are twice as fast with: for long
    trainings.
    """

    exact: bool
    brief: bool = False

    def divide(self, x: Tensor, by: int) -> Tensor:
        """x / by, rounded half up: by is a power of two and |x| + by / 2 < 2 ** 24."""
        return torch.add(x, by // 2).mul_(1 / by).floor_() if self.exact else x / by

    def bound(self, x: Tensor) -> Tensor:
        """Clamped to -BOUND..BOUND."""
        return x.clamp(-BOUND, BOUND) if self.exact else functional.hardtanh(x, -BOUND, BOUND)

    def leak(self, x: Tensor) -> Tensor:
        """The activation function: x where it is positive, else x / 4; clamped."""
        if self.exact and x.device.type == "cpu":
            last = x.permute(0, 2, 3, 1).numpy().copy()  # as convolutions leave it
            values = last.reshape(-1)
            _finish(values, values, values, False, True, False)
            return torch.from_numpy(last).permute(0, 3, 1, 2)
        if self.exact:
            return torch.maximum(x, self.divide(x, LEAK)).clamp_(-BOUND, BOUND)
        return self.bound(functional.leaky_relu(x, 1 / LEAK))

    def convolve(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: int = 1,
        plus: Tensor | None = None,
        shuffle: bool = False,
        leak: bool = False,
        beside: Tensor | None = None,
        precise: bool = False,
    ) -> Tensor:
        """(N, I, h, w) to (N, O, h / stride, w / stride), zeros beyond the picture; a kernel k x k with stride k or 1.

        The sums of the layer over 256, or over 2048 in a precise one, rounded; not clamped. shuffle: to
        (N, O / 4, 2 h, 2 w), as pixel_shuffle has it. Then plus: what is added. leak: whether the activation function
        comes next. beside: what is added to all that, which is bounded then.
        """
        padding = weight.shape[-1] // 2 if stride == 1 else 0
        if self.exact and x.device.type == "cpu":
            return _convolve(x, weight, bias, stride, padding, plus, shuffle, leak, beside, precise)
        if self.exact:
            found = _scaled_sums(x, *_terms(weight, bias, precise), stride, padding, precise).floor_()
        else:
            weight, kind = weight * (1 / (PRECISE if precise else FINE)), x.dtype
            if self.brief and not precise:
                x, weight, bias = x.bfloat16(), weight.bfloat16(), bias.bfloat16()
            found = functional.conv2d(*_channels_last(x, weight), bias, stride, padding).to(kind)
        if shuffle:
            found = functional.pixel_shuffle(found, 2)
        if plus is not None:
            found = found + plus
        if leak:
            found = self.leak(found)
        return found if beside is None else self.bound(found + beside)


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int,
    padding: int,
    plus: Tensor | None,
    shuffle: bool,
    leak: bool,
    beside: Tensor | None,
    precise: bool,
) -> Tensor:
    """`Arithmetic.convolve`, exact, on the CPU: one pass over what a convolution gives, channels last."""
    few = len(weight) <= FEW and weight.shape[-1] == 3 and stride == 1
    pairs = few and x.shape[-1] % 2 == 0 and not shuffle and not precise
    how = shuffle, precise, pairs
    kernel, constant = _kernels.of((weight, bias), how, lambda: _prepared(weight, bias, *how))
    total = _array(_scaled_sums(x, kernel, constant, (1, 2) if pairs else stride, padding, precise))
    if pairs:
        total = total.reshape(len(x), *x.shape[2:], len(weight))
    number, tall, wide, channels = total.shape
    shape = (number, 2 * tall, 2 * wide, channels // 4) if shuffle else total.shape
    out = np.empty(shape, total.dtype) if shuffle else total
    added, joined = (out if x is None else np.broadcast_to(_array(x), shape) for x in (plus, beside))
    then = plus is not None, leak, beside is not None
    if shuffle:
        _finish_shuffled(total, np.ascontiguousarray(added), np.ascontiguousarray(joined), *then, out)
    else:
        _finish(out.reshape(-1), added.reshape(-1), joined.reshape(-1), *then)
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def _array(x: Tensor) -> Floats:
    """(N, C, h, w) as an array (N, h, w, C), in that order in memory: what convolutions leave is not copied."""
    found: Floats = np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())
    return found


@compiled
def _finished(x: float, plus: float, beside: float, adds: bool, leaks: bool, joins: bool) -> float:
    """One value: rounded down, something added, the activation function, something else added and all bounded."""
    least, most, two, quarter = np.float32(-BOUND), np.float32(BOUND), np.float32(LEAK // 2), np.float32(1 / LEAK)
    value: Any = np.floor(x)
    if adds:
        value += plus
    if leaks:
        value = min(max(value, np.floor((value + two) * quarter), least), most)
    if joins:
        value = min(max(value + beside, least), most)
    found: float = value
    return found


@compiled
def _finish(x: Floats, plus: Floats, beside: Floats, adds: bool, leaks: bool, joins: bool) -> None:
    """All of x (n,), in place."""
    for i in range(len(x)):
        x[i] = _finished(x[i], plus[i], beside[i], adds, leaks, joins)


@compiled
def _finish_shuffled(
    x: Floats, plus: Floats, beside: Floats, adds: bool, leaks: bool, joins: bool, out: Floats
) -> None:
    """The same of x (N, h, w, 4 C), four samples side by side, into `out` (N, 2 h, 2 w, C)."""
    number, tall, wide, channels = out.shape
    for k in range(number):
        for i in range(tall):
            for j in range(wide):
                first = (i % 2 * 2 + j % 2) * channels
                row, to = x[k, i // 2, j // 2, first : first + channels], out[k, i, j]
                add, join = plus[k, i, j], beside[k, i, j]
                for c in range(channels):
                    to[c] = _finished(row[c], add[c], join[c], adds, leaks, joins)


EXACT = Arithmetic(True)
SMOOTH = Arithmetic(False)
BRIEF = Arithmetic(False, True)


def sums(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Stride = 1, padding: int = 0) -> Tensor:
    """A convolution that is exact on every device where no sum of its terms reaches 2 ** 24.

    Off the CPU it is one matrix product: a library may choose an algorithm for convolutions that is not exact.
    """
    if x.device.type == "cpu":
        return functional.conv2d(*_channels_last(x, weight), bias, stride, padding)
    out, _, tall, wide = weight.shape
    columns = functional.unfold(x, (tall, wide), padding=padding, stride=stride)
    height = (x.shape[2] + 2 * padding - tall) // (stride if isinstance(stride, int) else stride[0]) + 1
    total = (weight.flatten(1) @ columns).view(x.shape[0], out, height, -1)
    return total if bias is None else total + bias.view(1, -1, 1, 1)


def _terms(weight: Tensor, bias: Tensor, precise: bool) -> tuple[Tensor, Tensor]:
    """Kernel and bias whose sums are those of a layer over what a weight of 1 is, and half a unit for rounding.

    weight: (O, I, k, k); bias: (O,). They are divided before they are added up: by a power of two that is as exact, and
    one pass less. A precise layer has 2 O outputs, those of its coarse part, then those of its fine part.
    """
    if not precise:
        return weight * (1 / FINE), bias + 0.5
    coarse, fine = split(weight)
    return torch.cat((coarse * (1 / FINE), fine)), torch.cat((bias + 0.5, torch.zeros_like(bias)))


def _scaled_sums(x: Tensor, kernel: Tensor, constant: Tensor, stride: Stride, padding: int, precise: bool) -> Tensor:
    """Sums of a layer, not rounded; of a precise one, the fine part to 1 / FINE. kernel, constant: its `_terms`."""
    total = sums(x, kernel, constant, stride, padding)
    if not precise:
        return total
    coarse, rest = total.chunk(2, 1)
    return coarse + torch.floor(rest * (1 / PARTS)) * (1 / FINE)


_kernels: Kept[tuple[Tensor, Tensor]] = Kept()


def _prepared(weight: Tensor, bias: Tensor, shuffle: bool, precise: bool, pairs: bool) -> tuple[Tensor, Tensor]:
    """`_terms` as convolutions on a CPU take them.

    shuffle: with the channels of one sample side by side. pairs: those of a sample and of its right neighbour, from a
    kernel one column wider, for every other sample: a few channels would leave most of a vector empty.
    """
    kernel, constant = weight, bias
    if shuffle:
        kernel = kernel.view(-1, 4, *kernel.shape[1:]).transpose(0, 1).flatten(0, 1)
        constant = constant.view(-1, 4).T.flatten()
    if pairs:
        kernel = torch.cat((functional.pad(kernel, (0, 1)), functional.pad(kernel, (1, 0))))
        constant = torch.cat((constant, constant))
    kernel, constant = _terms(kernel, constant, precise)
    return kernel.contiguous(memory_format=torch.channels_last), constant


def split(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Integer weights of a precise layer as PARTS * coarse + fine, with fine in -PARTS / 2..PARTS / 2 - 1."""
    coarse = torch.floor((weight + PARTS // 2) * (1 / PARTS))
    return coarse, weight - PARTS * coarse


def _channels_last(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The same, in the order that convolutions on a CPU are fastest with."""
    if x.device.type != "cpu":
        return x, weight
    order = torch.channels_last
    return (
        x if x.is_contiguous(memory_format=order) else x.contiguous(memory_format=order),
        weight if weight.is_contiguous(memory_format=order) else weight.contiguous(memory_format=order),
    )


def check_sums(name: str, weight: Tensor, bias: Tensor, reach: int, precise: bool = False) -> None:
    """MalformedError unless every sum of a layer stays exact for inputs of magnitude at most `reach`."""
    rows = greatest_sums(weight, bias, reach, precise)
    if rows.numel() and float(rows.max()) >= EXACT_SUMS:
        raise MalformedError(f"{name}: sums of up to {int(rows.max())} are not exact; they have to stay under 2^24")


def greatest_sums(weight: Tensor, bias: Tensor, reach: int, precise: bool = False) -> Tensor:
    """What the sums of each output of a layer may come to, (O,) float64, for inputs of magnitude at most `reach`."""

    def magnitudes(part: Tensor) -> Tensor:
        return part.to(torch.float64).flatten(1).abs().sum(1) * reach

    rows = magnitudes(weight)
    if precise:
        coarse, fine = (magnitudes(part) for part in split(weight))
        rows = torch.maximum(coarse + fine / PARTS + 1, fine)
    return rows + bias.to(torch.float64).abs() * FINE + FINE // 2


def log2_fixed(value: int) -> int:
    """floor(256 log2(value)) of an integer value >= 1, by integers alone: binary digits by repeated squaring."""
    assert value >= 1
    whole = value.bit_length() - 1
    mantissa = (value << 32) >> whole  # 1.0 is 2 ** 32
    out = whole
    for _ in range(8):
        mantissa = (mantissa * mantissa) >> 32
        digit = mantissa >> 33
        mantissa >>= digit
        out = 2 * out + digit
    return out
