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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

from nvcodec.errors import MalformedError
from nvcodec.jit import compiled

UNIT = 512  # an activation of 1
FINE = 256  # a weight of 1
PRECISE = 2048  # one of 1 in a precise layer
PARTS = PRECISE // FINE
BOUND = 2047  # of activations
EXACT_SUMS = 1 << 24
LEAK = 4  # a negative activation is divided by it


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
            last = x.movedim(1, -1).clone(memory_format=torch.contiguous_format)  # as convolutions leave it
            values = last.view(-1).numpy()
            _finish(values, values, False, True)
            return last.movedim(-1, 1)
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
        precise: bool = False,
    ) -> Tensor:
        """(N, I, h, w) to (N, O, h / stride, w / stride), zeros beyond the picture; a kernel k x k with stride k or 1.

        The sums of the layer over 256, or over 2048 in a precise one, rounded; not clamped. shuffle: to
        (N, O / 4, 2 h, 2 w), as pixel_shuffle has it. Then plus: what is added. leak: whether the activation function
        comes last.
        """
        padding = weight.shape[-1] // 2 if stride == 1 else 0
        if self.exact and x.device.type == "cpu":
            return _convolve(x, weight, bias, stride, padding, plus, shuffle, leak, precise)
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
        return self.leak(found) if leak else found


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int,
    padding: int,
    plus: Tensor | None,
    shuffle: bool,
    leak: bool,
    precise: bool,
) -> Tensor:
    """`Arithmetic.convolve`, exact, on the CPU: one pass over what a convolution gives, channels last."""
    kernel, constant = _prepared(weight, bias, shuffle, precise)
    total = _scaled_sums(x, kernel, constant, stride, padding, precise).movedim(1, -1).contiguous()
    out = total.new_empty(len(total), 2 * total.shape[1], 2 * total.shape[2], len(weight) // 4) if shuffle else total
    added = out if plus is None else plus.movedim(1, -1).expand_as(out).contiguous()
    if shuffle:
        _finish_shuffled(total.numpy(), added.numpy(), plus is not None, leak, out.numpy())
    else:
        _finish(total.view(-1).numpy(), added.view(-1).numpy(), plus is not None, leak)
    return out.movedim(-1, 1)


@compiled
def _finished(x: float, plus: float, adds: bool, leaks: bool) -> float:
    """One value: rounded down, something added, the activation function."""
    least, most, two, quarter = np.float32(-BOUND), np.float32(BOUND), np.float32(LEAK // 2), np.float32(1 / LEAK)
    value: float = np.floor(x)
    if adds:
        value += plus
    if leaks:
        value = min(max(value, np.floor((value + two) * quarter), least), most)
    return value


@compiled
def _finish(x: NDArray[np.float32], plus: NDArray[np.float32], adds: bool, leaks: bool) -> None:
    """All of x (n,), in place."""
    for i in range(len(x)):
        x[i] = _finished(x[i], plus[i], adds, leaks)


@compiled
def _finish_shuffled(
    x: NDArray[np.float32], plus: NDArray[np.float32], adds: bool, leaks: bool, out: NDArray[np.float32]
) -> None:
    """The same of x (N, h, w, 4 C), four samples side by side, into `out` (N, 2 h, 2 w, C)."""
    number, tall, wide, channels = out.shape
    for k in range(number):
        for i in range(tall):
            for j in range(wide):
                first = (i % 2 * 2 + j % 2) * channels
                row, add, to = x[k, i // 2, j // 2, first : first + channels], plus[k, i, j], out[k, i, j]
                for c in range(channels):
                    to[c] = _finished(row[c], add[c], adds, leaks)


EXACT = Arithmetic(True)
SMOOTH = Arithmetic(False)
BRIEF = Arithmetic(False, True)


def sums(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0) -> Tensor:
    """A convolution that is exact on every device where no sum of its terms reaches 2 ** 24.

    Off the CPU it is one matrix product: a library may choose an algorithm for convolutions that is not exact.
    """
    if x.device.type == "cpu":
        return functional.conv2d(*_channels_last(x, weight), bias, stride, padding)
    out, _, tall, wide = weight.shape
    columns = functional.unfold(x, (tall, wide), padding=padding, stride=stride)
    height = (x.shape[2] + 2 * padding - tall) // stride + 1
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


def _scaled_sums(x: Tensor, kernel: Tensor, constant: Tensor, stride: int, padding: int, precise: bool) -> Tensor:
    """Sums of a layer, not rounded; of a precise one, the fine part to 1 / FINE. kernel, constant: its `_terms`."""
    total = sums(x, kernel, constant, stride, padding)
    if not precise:
        return total
    coarse, rest = total.chunk(2, 1)
    return coarse + torch.floor(rest * (1 / PARTS)) * (1 / FINE)


_made: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # by weight: what of it was prepared, and what came of that


def _prepared(weight: Tensor, bias: Tensor, shuffle: bool, precise: bool) -> tuple[Tensor, Tensor]:
    """`_terms` as convolutions on a CPU take them, made once while a weight stays as it is.

    shuffle: with the channels of one sample side by side.
    """
    of = weight._version, id(bias), bias._version, shuffle, precise
    found: tuple[object, Tensor, Tensor, Tensor] | None = _made.get(weight)  # type: ignore[no-untyped-call]
    if found is None or found[0] != of:
        kernel, constant = weight, bias
        if shuffle:
            kernel = kernel.view(-1, 4, *kernel.shape[1:]).transpose(0, 1).flatten(0, 1)
            constant = constant.view(-1, 4).T.flatten()
        kernel, constant = _terms(kernel, constant, precise)
        found = of, kernel.contiguous(memory_format=torch.channels_last), constant, bias  # which keeps its id
        if not weight.requires_grad:  # an optimizer changes those without a trace
            _made[weight] = found
    return found[1], found[2]


def split(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Integer weights of a precise layer as PARTS * coarse + fine, with fine in -PARTS / 2..PARTS / 2 - 1."""
    coarse = torch.floor((weight + PARTS // 2) * (1 / PARTS))
    return coarse, weight - PARTS * coarse


def _channels_last(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The same, in the order that convolutions on a CPU are fastest with."""
    if x.device.type != "cpu":
        return x, weight
    return x.contiguous(memory_format=torch.channels_last), weight.contiguous(memory_format=torch.channels_last)


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
