"""The networks of model 5 and what they read: section 16 of the specification but for motion, in int64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .container import Video, cap, need
from .layers import Tensors
from .rans import Stream

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Weights = dict[str, Ints]
Layer = Callable[[str, Ints], Ints]

LEVELS = {"intra": (5, 4, 3), "inter": (4, 3, 2)}
GROUPS = ("", "b", "c")
QUALITIES = 96


@dataclass
class Mc:
    """Configuration in wire order (section 16.1)."""

    longest: int
    flow: int
    width: int
    half: int
    coarse: int
    middle: int
    fine: int
    intra_width: int
    intra_half: int
    intra_coarse: int
    intra_middle: int
    intra_low: int
    intra_medium: int
    intra_high: int

    def check(self, video: Video) -> None:
        """Section 16.1."""
        need(1 <= self.longest <= 4096, "group")
        for value in list(vars(self).values())[1:]:
            need(1 <= value <= 256, "a number of channels")
        need(video.chroma <= 1, "a chroma format that model 5 has not")
        cells = -(-video.height // 16) * -(-video.width // 16)
        largest = 384
        for network in ("intra", "inter"):
            width, half = self.trunk(network)
            largest = max(largest, 64 * half, 16 * width)
            largest = max(
                largest, *(2 * sum(c) * 4 ** (4 - level) for level, c in self.groups(network).items() if level < 5)
            )
        cap(cells * largest, 2**31, "a layer")

    def trunk(self, network: str) -> tuple[int, int]:
        """Channels of the trunk, and at half size."""
        return (self.intra_width, self.intra_half) if network == "intra" else (self.width, self.half)

    def groups(self, network: str) -> dict[int, tuple[int, ...]]:
        """Channels of the groups of a level."""
        if network == "inter":
            return {4: (self.coarse,), 3: (self.middle,), 2: (self.fine,)}
        return {
            5: (self.intra_coarse,),
            4: (self.intra_middle,),
            3: (self.intra_low, self.intra_medium, self.intra_high),
        }

    def layers(self) -> dict[str, tuple[int, int, int]]:
        """(outputs, inputs, k) by name, in wire order (section 16.2)."""
        out: dict[str, tuple[int, int, int]] = {}
        for network in ("intra", "inter"):
            n, half = self.trunk(network)
            groups, inter = self.groups(network), network == "inter"
            mine: dict[str, tuple[int, int, int]] = {}
            if inter:
                mine |= {"sense2": (n, 12, 2), "sense3": (n, n, 2), "sense4": (n, n, 2)}
            for level in (4, 3, 2) if inter else (5, 4, 3, 2):
                if level in groups:
                    c = sum(groups[level])
                    mine[f"base{level}"] = (n, n, 1)
                    for name, own in zip(GROUPS, groups[level]):  # noqa: B905
                        mine |= {f"near{level}{name}": (n, c, 3), f"mid{level}{name}": (n, n, 1)}
                        mine |= {f"first{level}{name}": (2 * own, n, 1), f"second{level}{name}": (2 * own, n, 1)}
                    mine[f"latent{level}"] = (n, c, 3)
                if level < LEVELS[network][0]:
                    mine[f"mix{level}"] = (n, n, 3)
                mine[f"up{level}"] = (4 * (half if level == 2 else n), n, 1)
            mine |= {"sense1": (half, 12, 3)} if inter else {"mix1": (half, half, 3)}
            mine |= {"last": (half, half, 1), "picture": (6, half, 3)}
            if inter:
                mine["direct2"] = (24, self.fine, 3)
            else:
                c3 = sum(groups[3])
                mine |= {
                    "direct5": (4 * self.intra_middle, self.intra_coarse, 3),
                    "direct4": (4 * c3, self.intra_middle, 3),
                }
                mine |= {"direct3": (96, c3, 3), "direct2": (24, 24, 3)}
            out |= {f"{network}.{name}": shape for name, shape in mine.items()}
        f = self.flow
        return out | {"flow.near": (f, 9, 5), "flow.mid": (f, f + 9, 1), "flow.out": (4, f, 1)}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """All tensors by name, in wire order (section 16.2)."""
        out: dict[str, tuple[int, ...]] = {}
        for network in ("intra", "inter"):
            out |= {f"{network}.steps": (3, QUALITIES), f"{network}.start": (QUALITIES, self.trunk(network)[0])}
        for name, (outputs, inputs, k) in self.layers().items():
            out |= {f"{name}.weight": (outputs, inputs, k, k), f"{name}.bias": (outputs,)}
        return out

    def tensors(self, video: Video) -> Tensors:
        """As other networks have them."""
        return [(0, shape, 0) for shape in self.shapes().values()]

    def weights(self, integers: list[NDArray[np.int32]]) -> Weights:
        """By name, checked (section 16.3)."""
        out = {name: q.astype(np.int64) for name, q in zip(self.shapes(), integers, strict=True)}
        for name in self.layers():
            latents = name.split(".")[1].rstrip("2345bc") in ("near", "latent", "direct") and name != "flow.near"
            weight, reach = out[f"{name}.weight"], 4095 if latents else 2047
            sums = reach * np.abs(weight).sum((1, 2, 3))
            if unit_of(name) == 2048:
                high = (weight + 4) // 8
                h, f = (4095 * np.abs(part).sum((1, 2, 3)) for part in (high, weight - 8 * high))
                sums = np.maximum(h + f / 8 + 1, f)
            sums = sums + 256 * np.abs(out[f"{name}.bias"]) + 128
            need(bool((sums < 2**24).all()), f"the sums of {name} are not exact")
        for network in ("intra", "inter"):
            steps = out[f"{network}.steps"]
            need(1 <= steps.min() and steps.max() <= 4095, "a step out of 1 .. 4095")
        return out


# Arithmetic (section 16.3) --------------------------------------------------------------------------------------------


def bound(x: Ints) -> Ints:
    """To -2047 .. 2047."""
    return np.clip(x, -2047, 2047)


def leak(x: Ints) -> Ints:
    """The activation function."""
    return bound(np.maximum(x, (x + 2) // 4))


def unit_of(layer: str) -> int:
    """What its weights have as 1."""
    return 2048 if layer.startswith("intra.direct") else 256


def convolve(v: Ints, weight: Ints, bias: Ints, unit: int) -> Ints:
    """A layer, (I, h, w) -> (O, h, w), or half of both with a kernel of 2."""
    k = weight.shape[-1]
    stride, edge = (2, 0) if k == 2 else (1, k // 2)
    h, w = v.shape[1] // stride, v.shape[2] // stride
    padded = np.pad(v, ((0, 0), (edge, edge), (edge, edge)))
    total = np.zeros((len(weight), h, w), np.int64)
    for m in range(k):
        for n in range(k):
            part = padded[:, m : m + stride * (h - 1) + 1 : stride, n : n + stride * (w - 1) + 1 : stride]
            total += np.einsum("oi,ihw->ohw", weight[:, :, m, n], part)
    return (total + unit * bias[:, None, None] + unit // 2) // unit


def shuffle(v: Ints) -> Ints:
    """(4 c, h, w) -> (c, 2 h, 2 w)."""
    c, h, w = len(v) // 4, *v.shape[1:]
    return v.reshape(c, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(c, 2 * h, 2 * w)


def layer_of(weights: Weights, network: str) -> Layer:
    """Layers of a network by name."""

    def layer(name: str, v: Ints) -> Ints:
        name = f"{network}.{name}"
        return convolve(v, weights[f"{name}.weight"], weights[f"{name}.bias"], unit_of(name))

    return layer


# Passes (section 16.8) ------------------------------------------------------------------------------------------------


def log2(step: int) -> int:
    """G."""
    whole = step.bit_length() - 1
    a, out = step << 32 >> whole, whole
    for _ in range(8):
        a = a * a >> 32
        b = a >> 33
        a >>= b
        out = 2 * out + b
    return out


def take(stream: Stream, cells: Flags, location: Ints, scale: Ints, step: int | None) -> Ints:
    """The values of a pass, (C, h, w) as location and scale are, 0 where not among its cells."""
    chosen = np.broadcast_to(cells, location.shape)
    location, scale = location[chosen], scale[chosen]
    if step is None:
        m, s = (location + 4) // 8, (4 * scale + 4736) // 256
    else:
        m, s = (16 * location + step) // (2 * step), (4 * scale - 4 * (log2(step) - 2304) + 4736) // 256
    v = (m + 4) // 8
    coded = s >= 0
    rows = 8 * np.minimum(s, 47) + m % 8 + (384 if step is None else 0)
    v[coded] = np.array(stream.take(rows[coded].tolist()), np.int64) + m[coded] // 8
    need(not v.size or int(np.abs(v).max()) < 2**24, "a value is over 2^24 - 1")
    out = np.zeros(chosen.shape, np.int64)
    out[chosen] = v
    return out


# Displacements (section 16.9) -----------------------------------------------------------------------------------------


def read_field(stream: Stream, layer: Layer, guess: Ints | None, hints: Ints) -> Ints:
    """(2, R, C); guess: the same, or None; hints: (9, R, C)."""
    field = np.zeros((2, *hints.shape[1:]), np.int64)
    for stride in (4, 2, 1):
        d = field[:, ::stride, ::stride]  # a view: what is written to it is written to the field
        i, j = np.arange(d.shape[1])[:, None] % 2, np.arange(d.shape[2]) % 2
        known = (i == 0) & (j == 0) & (stride < 4)
        one = i == j if stride == 4 else (i == 1) & (j == 1)
        g = None if guess is None else guess[:, ::stride, ::stride]
        for cells, have in ((one, known), (~(known | one), known | one)):
            location, scale = field_law(layer, d, have, g, hints[:, ::stride, ::stride], stride)
            values = np.clip(take(stream, cells, location, scale, None), -4095, 4095)
            d[:, cells] = values[:, cells]
    return field


def field_law(layer: Layer, d: Ints, known: Flags, guess: Ints | None, hints: Ints, stride: int) -> tuple[Ints, Ints]:
    """Location and scale of all cells of a lattice."""
    h, w = known.shape
    count, total = np.zeros((h, w), np.int64), np.zeros((2, h, w), np.int64)
    around = np.pad(known.astype(np.int64), 1)
    values = np.pad(d * known, ((0, 0), (1, 1), (1, 1)))
    for i in range(3):
        for j in range(3):
            weight = ((1, 2, 1), (2, 0, 2), (1, 2, 1))[i][j]
            count += weight * around[i : i + h, j : j + w]
            total += weight * values[:, i : i + h, j : j + w]
    g = np.zeros_like(total) if guess is None else guess
    base = np.where(count > 0, (16 * total + count) // np.maximum(2 * count, 1), g)
    guessed = 0 if guess is None else 1
    one = np.ones((1, h, w), np.int64)
    x = [
        bound(8 * (8 * d - base)) * known,
        512 * one * known,
        bound(8 * (g - base)) * guessed,
        512 * one * guessed,
        512 * one * (stride == 1),
        512 * one * (stride == 2),
        64 * one * count,
    ]
    near = leak(layer("near", np.concatenate(x)))
    z = layer("out", leak(layer("mid", np.concatenate((near, hints)))))
    return 8 * base + z[:2], z[2:]


# Frames (section 16.10) -----------------------------------------------------------------------------------------------


def read_latents(
    stream: Stream,
    layer: Layer,
    level: int,
    groups: tuple[int, ...],
    trunk: Ints,
    straight: Ints | None,
    step: int,
    size: tuple[int, int],
) -> Ints:
    """t of a level, (C, h, w). size: height and width of the video."""
    base = layer(f"base{level}", trunk)
    i, j = np.arange(trunk.shape[1])[:, None], np.arange(trunk.shape[2])
    inside = (i * 2**level < size[0]) & (j * 2**level < size[1])
    t = np.zeros((sum(groups), *trunk.shape[1:]), np.int64) if straight is None else straight.copy()
    known = straight is not None
    first = 0
    for name, count in zip(GROUPS, groups):  # noqa: B905
        own = slice(first, first + count)
        for head, cells in (("first", inside & ((i + j) % 2 == 0)), ("second", inside & ((i + j) % 2 == 1))):
            near = base + layer(f"near{level}{name}", t) if known else base
            z = layer(f"{head}{level}{name}", leak(layer(f"mid{level}{name}", leak(near))))
            t[own] += np.clip(step * take(stream, cells, z[:count], z[count:], step), -4095, 4095)
            t = np.clip(t, -4095, 4095)
            known = True
        first += count
    return t


def read_picture(
    stream: Stream,
    model: Mc,
    weights: Weights,
    size: tuple[int, int],
    prediction: Ints | None,
    levels: set[int],
    quality: int,
) -> Ints:
    """(6, 8 R, 8 C); size: height and width of the video; prediction: None with INTRA. levels: those that are coded."""
    network = "intra" if prediction is None else "inter"
    layer, groups, top = layer_of(weights, network), model.groups(network), LEVELS[network][0]
    start = weights[f"{network}.start"][quality][:, None, None]
    rows, columns = -(-size[0] // 16), -(-size[1] // 16)
    senses: dict[int, Ints] = {}
    if prediction is None:
        trunk = bound(np.broadcast_to(start, (len(start), (rows + 1) // 2, (columns + 1) // 2)))
    else:
        senses[2] = leak(layer("sense2", prediction))
        senses[3] = leak(layer("sense3", senses[2]))
        trunk = leak(layer("sense4", senses[3]) + start)
    straight: Ints | None = None
    for level in range(top, 1, -1):
        if level < top:
            trunk = leak(trunk + senses.get(level, 0))
        if level in groups:
            if level in levels:
                step = int(weights[f"{network}.steps"][LEVELS[network].index(level), quality])
                t = read_latents(stream, layer, level, groups[level], trunk, straight, step, size)
            else:
                t = np.zeros((sum(groups[level]), *trunk.shape[1:]), np.int64) if straight is None else straight
            trunk = leak(trunk + layer(f"latent{level}", t))
        else:
            assert straight is not None
            t = straight
        if level < top:
            trunk = bound(trunk + leak(layer(f"mix{level}", trunk)))
        if prediction is None or level == 2:
            straight = shuffle(layer(f"direct{level}", t))
            straight = straight if level == 2 else np.clip(straight, -4095, 4095)
        trunk = shuffle(layer(f"up{level}", trunk))
        if level == 5:
            assert straight is not None
            trunk, straight = trunk[:, :rows, :columns], straight[:, :rows, :columns]
    assert straight is not None
    if prediction is None:
        trunk = leak(trunk)
        trunk = bound(trunk + leak(layer("mix1", trunk)))
    else:
        trunk = leak(trunk + layer("sense1", prediction))
    out = layer("picture", leak(layer("last", trunk))) + straight
    return out if prediction is None else out + prediction[:6]
