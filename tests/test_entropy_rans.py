"""Interleaved rANS: exact round trips in passes, the bytes of the specification, code lengths, and what is refused."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.bitstream.fields import uvarint
from nvcodec.entropy import laplace, rans
from nvcodec.entropy.bits import BitWriter
from nvcodec.errors import MalformedError
from nvcodec.limits import MAX_MAGNITUDE

LANES = [1, 2, 3, 16, 31, 32, 33, 64, 256]
EXTREMES = [-MAX_MAGNITUDE, MAX_MAGNITUDE, -64, -63, 64, 65, -2, -1, 0, 1, 2, 3]
GOLDEN_ROWS = [[0, 67, 144, 383], [], [151, 240, 200]]
GOLDEN_VALUES = [[0, 1, -3, 300], [], [12, -70, 5]]
GOLDEN = "0202a20cc000eec20100cfba09e4077e50"


@st.composite
def passes(draw, largest=150):
    """Up to four passes of rows and values: mostly near 0, some far out."""
    out = []
    for size in draw(st.lists(st.integers(0, largest), max_size=4)):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        rows = rng.integers(0, draw(st.integers(1, laplace.ROWS)), size).astype(np.uint16)
        spread = draw(st.sampled_from([0.3, 2, 60, 1e6]))
        values = np.clip(np.round(rng.laplace(0, spread, size)), -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(np.int32)
        if size and draw(st.booleans()):
            values[rng.integers(0, size)] = draw(st.sampled_from(EXTREMES))
        out.append((rows, values))
    return out


def drawn(seed: int, size: int, scales: int = 30) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows of all phases and scales below `scales`, values of their laws, and the ideal length of these in bits."""
    rng = np.random.default_rng(seed)
    scale, phase = rng.integers(0, scales, size), rng.integers(0, 8, size)
    b = 2.0 ** ((scale - 18) / 4)
    values = np.floor(rng.laplace(phase / 8, b) + 0.5).astype(np.int32)
    near, far = np.abs(values - phase / 8) - 0.5, np.abs(values - phase / 8) + 0.5
    mass = np.where(
        near >= 0, 0.5 * (np.exp(-near / b) - np.exp(-far / b)), 1 - 0.5 * (np.exp(near / b) + np.exp(-far / b))
    )
    return (scale * 8 + phase).astype(np.uint16), values, float(-np.log2(mass).sum())


def without_escapes(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """As `drawn`, values in the windows of their rows only."""
    rows, values, _ = drawn(seed, size)
    keep = (values >= -laplace.reach(rows)) & (values <= laplace.reach(rows) + 1)
    return rows[keep], values[keep]


def encode(sequence, lanes=1) -> bytes:
    encoder = rans.Encoder()
    for rows, values in sequence:
        encoder.put(rows, values)
    return encoder.finish(lanes)


def decode(data: bytes, row_passes) -> list[np.ndarray]:
    decoder = rans.Decoder(data)
    out = [decoder.take(rows) for rows in row_passes]
    decoder.finish()
    return out


def by_the_book(sequence, lanes: int) -> bytes:
    """The payload, one symbol after the other in Python integers, as the specification writes it."""
    coded, escapes = [], BitWriter()
    for rows, values in sequence:
        for i, (row, r) in enumerate(zip(rows.tolist(), values.tolist(), strict=True)):
            cdf = laplace.cdf(row).tolist()
            k = (len(cdf) - 5) // 2
            symbol = min(max(r, -(k + 1)), k + 2) + k + 1
            if r < -k:
                escapes.exp_golomb(-(k + 1) - r, 2)
            if r > k + 1:
                escapes.exp_golomb(r - (k + 2), 2)
            coded.append((i % lanes, cdf[symbol], cdf[symbol + 1] - cdf[symbol]))
    states, words = [2**16] * lanes, []
    for lane, c, f in reversed(coded):
        x = states[lane]
        if x >= f * 2**16:
            words.insert(0, x % 2**16)
            x //= 2**16
        states[lane] = x // f * 2**16 + x % f + c
    out = uvarint(lanes) + uvarint(len(words))
    out += b"".join(x.to_bytes(4, "little") for x in states) + b"".join(w.to_bytes(2, "little") for w in words)
    return out + escapes.getvalue()


def arrays(rows: list[list[int]], values: list[list[int]]):
    return [(np.array(a, np.uint16), np.array(b, np.int32)) for a, b in zip(rows, values, strict=True)]


@settings(deadline=None)
@given(passes(), st.sampled_from(LANES))
def test_round_trip(sequence, lanes):
    data = encode(sequence, lanes)
    assert rans.Decoder(data).lanes == lanes
    for (_, values), found in zip(sequence, decode(data, [rows for rows, _ in sequence]), strict=True):
        assert found.dtype == np.int64 and np.array_equal(values, found)


@settings(deadline=None)
@given(passes(), st.sampled_from(LANES))
def test_encoder_writes_what_the_specification_says(sequence, lanes):
    assert encode(sequence, lanes) == by_the_book(sequence, lanes)


@settings(deadline=None)
@given(passes(60), st.sampled_from([1, 3, 32]), st.binary(max_size=200))
def test_decoder_knows_the_encoders_output(sequence, lanes, noise):
    """Any payload is refused, or is exactly what the encoder writes for the values that it decodes to."""
    row_passes = [rows for rows, _ in sequence]
    head = uvarint(lanes) + uvarint(len(noise) // 3)
    for data in (noise, head + (b"\0\1\1\0" * lanes) + noise, head + (b"\0\0\1\0" * lanes) + noise):
        try:
            found = decode(data, row_passes)
        except MalformedError:
            continue
        assert encode(list(zip(row_passes, found, strict=True)), data[0]) == data


@settings(deadline=None)
@given(passes(80), st.sampled_from([1, 2, 32, 64]), st.data())
def test_damage_never_passes_for_the_same(sequence, lanes, data):
    whole, row_passes = encode(sequence, lanes), [rows for rows, _ in sequence]
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    cut = data.draw(st.integers(0, len(whole) - 1))
    longer = whole + data.draw(st.binary(min_size=1, max_size=9))
    for damaged in (bytes(flipped), whole[:cut], longer):
        try:
            found = decode(damaged, row_passes)
        except MalformedError:
            continue
        assert encode(list(zip(row_passes, found, strict=True)), rans.Decoder(damaged).lanes) == damaged
        assert not all(np.array_equal(a, b) for a, (_, b) in zip(found, sequence, strict=True))


@pytest.mark.parametrize("lanes", [1, 32])
def test_every_cut_and_every_flip_of_a_long_payload_is_refused(lanes):
    """With hundreds of words no damage ends at the right states by chance; these are fixed cases without escapes."""
    rows, values = without_escapes(5, 1000)
    row_passes = [rows[:300], rows[300:]]
    data = encode([(rows[:300], values[:300]), (rows[300:], values[300:])], lanes)
    flips = [data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :] for at in range(len(data))]
    longer = [data + extra for extra in (b"\0", b"\1", b"\x80", b"\0\0")]
    for damaged in (*(data[:cut] for cut in range(len(data))), *longer, *flips):
        with pytest.raises(MalformedError):
            decode(damaged, row_passes)


@pytest.mark.parametrize(
    "payload, why",
    [
        ("", "number of lanes needs"),
        ("00 00", "0 lanes, not 1 to 256"),
        ("8102 00" + "00000100" * 257, "257 lanes, not 1 to 256"),
        ("8100 00 00000100", "longer than it need be"),
        ("01 00 000001", "states needs 4 bytes"),
        ("01 00 ffff0000", "a state is below 65536"),
        ("01 01 00000100 00", "words needs 2 bytes"),
        ("01 ffffffffffffffffff01 00000100", "words needs"),
        ("01 01 00000100 0000", "1 words are left over"),
        ("01 00 00000200", "the last states are not those of an encoder"),
        ("02 00 00000100 01000100", "the last states are not those of an encoder"),
        ("01 00 00000100 00", "bits that are not padding"),
    ],
)
def test_what_is_refused_without_symbols(payload, why):
    with pytest.raises(MalformedError, match=why):
        decode(bytes.fromhex(payload), [])


@pytest.mark.parametrize("lanes", [1, 32])
def test_early_ends_are_refused_where_they_are(lanes):
    rows, values, _ = drawn(6, 640)
    decoder = rans.Decoder(encode([(rows, values)], lanes))
    assert np.array_equal(decoder.take(rows), values)
    with pytest.raises(MalformedError, match="words end before"):
        for _ in range(2000):  # under wide laws every symbol uses up bits
            decoder.take(np.full(640, 376))


def test_escapes_are_bounded_and_complete():
    """Magnitudes over the cap, bits that end early, and padding other than zero."""
    row = np.array([0])  # K = 1: the escapes begin at -2 and 3
    for value, beyond in ((-MAX_MAGNITUDE, 2), (MAX_MAGNITUDE, 3)):
        data = encode([(row, np.array([value]))], 1)
        escape = BitWriter()
        escape.exp_golomb(MAX_MAGNITUDE - beyond, 2)
        text = escape.getvalue()
        assert data.endswith(text) and decode(data, [row])[0].tolist() == [value]
        with pytest.raises(MalformedError, match="bits end before"):
            decode(data[:-1], [row])
        with pytest.raises(MalformedError, match="padding"):
            decode(data[:-1] + bytes([data[-1] | 1]), [row])
        over = BitWriter()
        over.exp_golomb(MAX_MAGNITUDE - beyond + 1, 2)
        with pytest.raises(MalformedError, match="over"):
            decode(data[: -len(text)] + over.getvalue(), [row])
        with pytest.raises(MalformedError, match="prefix is longer"):
            decode(data[: -len(text)] + bytes(20), [row])


def test_without_symbols():
    for sequence in ([], arrays([[]], [[]]), arrays([[], []], [[], []])):
        assert encode(sequence) == bytes.fromhex("010000000100")
        assert all(len(found) == 0 for found in decode(encode(sequence), [rows for rows, _ in sequence]))
    assert encode([], 2) == bytes.fromhex("02000000010000000100")


def test_golden():
    """Files that exist depend on these bytes."""
    sequence = arrays(GOLDEN_ROWS, GOLDEN_VALUES)
    assert encode(sequence, 2).hex() == GOLDEN
    found = decode(bytes.fromhex(GOLDEN), [rows for rows, _ in sequence])
    assert [values.tolist() for values in found] == GOLDEN_VALUES
    rows, values = np.arange(6000) * 7 % 384, np.arange(6000) * 37 % 23 - 11
    data = [encode([(rows[:5000], values[:5000]), (rows[5000:], values[5000:])], lanes) for lanes in (1, 32, 48)]
    assert (
        hashlib.sha256(b"".join(data)).hexdigest() == "b883086463473407755334c481a77bb439aa0fa91cdc4035c50f8ee4a9a6e4ae"
    )


@pytest.mark.parametrize("lanes", [1, 32, 64])
def test_code_length_is_near_the_ideal(lanes):
    rows, values, ideal = drawn(1, 100_000)
    parts = [slice(start, start + 7000) for start in range(0, len(rows), 7000)]
    data = encode([(rows[part], values[part]) for part in parts], lanes)
    assert len(data) <= 1.01 * ideal / 8 + 2 * rans.Decoder(data).lanes
    found = decode(data, [rows[part] for part in parts])
    assert np.array_equal(np.concatenate(found), values)


def test_code_length_is_that_of_the_tables():
    """A lane costs between 2 and 4 bytes, and states of 32 bits under frequencies of 16 about 0.2 %."""
    rows, values = without_escapes(2, 50_000)
    ideal = float(laplace.bits(rows, values).sum()) / 8
    for lanes in (1, 32, 256):
        over = len(encode([(rows, values)], lanes)) - ideal
        assert 2 * lanes < over < 4 * lanes + 5 + ideal / 300
