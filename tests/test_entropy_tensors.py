"""Integer tensors: exact round trips under every coding, golden bytes, exact estimates, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvcodec.bitstream import fields, registry
from nvcodec.entropy import blobs, codings, tables
from nvcodec.entropy.bits import BitReader, BitWriter
from nvcodec.entropy.choose import _best_order, _exp_golomb_bits
from nvcodec.entropy.elements import Elements
from nvcodec.entropy.tensors import IntegerTensor, code_length, decode_tensors, encode_tensors
from nvcodec.errors import FeatureError, FormatError, MalformedError
from nvcodec.limits import MAX_MAGNITUDE


@pytest.fixture(autouse=True)
def builtin_coder(monkeypatch):
    """These tests are about layout and choice; the coders are compared in test_entropy_arithmetic."""
    monkeypatch.setenv("NVCODEC_CODER", "builtin")


def laplace(seed: int, scale, *shape: int) -> np.ndarray:
    return np.round(np.random.default_rng(seed).laplace(0, 1, shape) * scale).astype(np.int32)


def decode(encoded, tensors):
    shapes, contexts = [t.values.shape for t in tensors], [t.context for t in tensors]
    return decode_tensors(shapes, contexts, encoded.tables, encoded.symbols, [t.coded for t in tensors])


def check(tensors):
    encoded = encode_tensors(tensors)
    back = decode(encoded, tensors)
    assert [t.shape for t in back] == [t.values.shape for t in tensors]
    for tensor, found in zip(tensors, back, strict=True):
        expected = tensor.values if tensor.coded is None else np.where(tensor.coded, tensor.values, 0)
        assert np.array_equal(expected, found) and found.dtype == np.int32
    return encoded


CLASSES = np.arange(3000, dtype=np.uint8).reshape(30, 100) % 3 * 2  # classes 0, 2 and 4
CASES = {
    codings.ZERO: IntegerTensor(np.zeros((3, 4, 5), np.int32)),
    codings.SINGLE: IntegerTensor(laplace(1, 1.5, 40, 50)),
    codings.ROWS: IntegerTensor(laplace(2, np.geomspace(0.05, 40, 20)[:, None], 20, 200)),
    codings.COLUMNS: IntegerTensor(laplace(3, np.geomspace(0.05, 40, 20), 200, 20)),
    codings.CONTEXT: IntegerTensor(laplace(4, np.array([0.1, 0, 1, 0, 8])[CLASSES], 30, 100), CLASSES),
}


@pytest.mark.parametrize("coding", CASES)
def test_each_coding_is_chosen_where_it_is_cheapest(coding):
    assert check([CASES[coding]]).codings == (coding,)


def test_all_codings_in_one_group():
    encoded = check(list(CASES.values()))
    assert encoded.codings == tuple(CASES)
    assert encoded.bits[0] == 4, "of a run of one"
    assert sum(encoded.bits) / 8 == pytest.approx(len(encoded.tables) + len(encoded.symbols), abs=6)


def test_wire_ids_are_those_of_the_registry():
    for ids, module in ((registry.TensorCoding, codings), (registry.BlobCoding, blobs)):
        assert {entry.name: int(entry) for entry in ids} == {entry.name: getattr(module, entry.name) for entry in ids}


SMALL_CLASSES = np.array([0, 1, 0, 1, 0, 5], np.uint8)
RAMP = np.array([0, 1, -1, 2, -2, 9], np.int32)
PLANS = {
    codings.ZERO: codings.TensorPlan(codings.ZERO),
    codings.SINGLE: codings.TensorPlan(codings.SINGLE, pairs=((22, 5),)),
    codings.ROWS: codings.TensorPlan(codings.ROWS, scales=(40, 45), tail=6, rice=1),
    codings.COLUMNS: codings.TensorPlan(codings.COLUMNS, scales=(40, 38, 50), tail=4, rice=2),
    codings.CONTEXT: codings.TensorPlan(codings.CONTEXT, pairs=((30, 0), (20, 4), (10, 12))),
}  # LIKE needs another tensor: it has a test of its own
GOLDEN = {
    codings.ZERO: ("2110", ""),
    codings.SINGLE: ("212b0a", "0399883870"),
    codings.ROWS: ("214cd1f0", "039e81a070"),
    codings.COLUMNS: ("216950ff00", "03a9592070"),
    codings.CONTEXT: ("218f00a08518", "04a2f3a24070"),
}


def golden_tensor(coding: int) -> IntegerTensor:
    values = (RAMP * 0 if coding == codings.ZERO else RAMP).reshape(2, 3)
    return IntegerTensor(values, SMALL_CLASSES.reshape(2, 3) if coding == codings.CONTEXT else None)


@pytest.mark.parametrize("coding", PLANS)
def test_golden(coding, monkeypatch):
    """Files that exist depend on these bytes: K = 3, escape order 1, one tensor of shape (2, 3) under a fixed plan."""
    plan = codings.Plan(1, 1, (PLANS[coding],))
    monkeypatch.setattr("nvcodec.entropy.tensors.choose", lambda *_: (plan, [0.0]))
    tensor = golden_tensor(coding)
    encoded = encode_tensors([tensor])
    assert (encoded.tables.hex(), encoded.symbols.hex()) == GOLDEN[coding]
    assert np.array_equal(decode(encoded, [tensor])[0], tensor.values)


@pytest.mark.parametrize("coding", PLANS)
def test_every_cut_and_addition_is_refused_and_every_flip_seen(coding):
    tensor = golden_tensor(coding)
    shapes, contexts = [tensor.values.shape], [tensor.context]
    sections = [bytes.fromhex(section) for section in GOLDEN[coding]]
    for which, section in enumerate(sections):
        wrong = [section[:cut] for cut in range(len(section))] + [section + b"\0", section + b"\x80"]
        for bad in wrong:
            with pytest.raises(MalformedError):
                decode_tensors(shapes, contexts, *(bad if i == which else s for i, s in enumerate(sections)))
        for bit in range(8 * len(section)):
            flipped = bytearray(section)
            flipped[bit // 8] ^= 128 >> bit % 8
            parts = [bytes(flipped) if i == which else s for i, s in enumerate(sections)]
            try:
                (back,) = decode_tensors(shapes, contexts, *parts)
            except FormatError:
                continue
            # Other tables may happen to decode the same symbols; another payload may not.
            assert back.shape == tensor.values.shape and (which == 0 or not np.array_equal(back, tensor.values))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        hnp.arrays(
            np.int32,
            hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6),
            elements=st.one_of(st.just(0), st.integers(-3, 3), st.integers(-MAX_MAGNITUDE, MAX_MAGNITUDE)),
        ),
        max_size=4,
    ),
    st.booleans(),
    st.sampled_from([None, 0, 1, 50, 99]),
)
def test_any_tensors_come_back(arrays, with_context, percent):
    classes = [(np.arange(a.size) % 6).astype(np.uint8).reshape(a.shape) if with_context else None for a in arrays]
    rng = np.random.default_rng(1)
    masks = [None if percent is None else rng.random(a.shape) * 100 < percent for a in arrays]
    check([IntegerTensor(a, c, m) for a, c, m in zip(arrays, classes, masks, strict=True)])


SOME = np.random.default_rng(0).random((40, 50)) < 0.3
SOME[5], SOME[:, 7] = False, False


@pytest.mark.parametrize("coding", CASES)
def test_each_coding_with_a_part_of_the_elements(coding):
    """What is not coded has no symbols, and neither rows, columns nor classes that have nothing else."""
    tensor = CASES[coding]
    coded = np.resize(SOME, tensor.values.shape)
    coded[0] = False
    if tensor.context is not None:
        coded &= tensor.context != 4
    elsewhere = np.where(coded, tensor.values, 12345).astype(np.int32)
    encoded = check([IntegerTensor(elsewhere, tensor.context, coded)])
    assert encoded.codings == (coding,)
    (plan,) = codings.read_plan(encoded.tables, [Elements(tensor.values.shape, tensor.context, coded)]).tensors
    flat = coded.reshape(len(coded), -1)
    lines = {codings.ROWS: flat.any(axis=1), codings.COLUMNS: flat.any(axis=0)}
    assert len(plan.scales) == np.count_nonzero(lines.get(coding, []))
    assert len(plan.pairs) == {codings.SINGLE: 1, codings.CONTEXT: 2}.get(coding, 0)


def test_tensors_with_a_few_values_each_share_a_table():
    """LIKE, beside runs of ZERO, and what ends the sharing: a tensor with laws of its own."""
    few = [laplace(seed, 0.2, 12, 30) for seed in range(6)]
    nothing, other = np.zeros((5, 5), np.int32), laplace(9, 30, 50, 60)
    encoded = check([IntegerTensor(a) for a in (nothing, *few[:3], nothing, nothing, *few[3:], other, few[0])])
    zero, single, like = codings.ZERO, codings.SINGLE, codings.LIKE
    assert encoded.codings == (zero, single, like, like, zero, zero, like, like, like, single, single)
    assert encoded.bits[4] == 6 and encoded.bits[5] == 0, "of a run of two"
    alone = [encode_tensors([IntegerTensor(a)]).bits[0] for a in few]
    assert sum(encoded.bits[n] for n in (1, 2, 3, 6, 7, 8)) < sum(alone) - 40
    assert sum(encoded.bits) / 8 == pytest.approx(len(encoded.tables) + len(encoded.symbols), abs=6)


def test_golden_runs_and_sharing(monkeypatch):
    """As `test_golden`: ZERO twice, SINGLE, ZERO, LIKE."""
    single = PLANS[codings.SINGLE]
    zero = PLANS[codings.ZERO]
    plan = codings.Plan(1, 1, (zero, zero, single, zero, codings.TensorPlan(codings.LIKE, pairs=single.pairs)))
    monkeypatch.setattr("nvcodec.entropy.tensors.choose", lambda *_: (plan, [0.0] * 5))
    ramp, nothing = IntegerTensor(RAMP.reshape(2, 3)), IntegerTensor(np.zeros((2, 3), np.int32))
    encoded = encode_tensors([nothing, nothing, ramp, nothing, ramp])
    bits = "001000010000100010101100001010001101"
    assert encoded.tables == int(bits.ljust(40, "0"), 2).to_bytes(5, "big")
    back = decode(encoded, [nothing, nothing, ramp, nothing, ramp])
    assert [a.tolist() for a in back] == [t.values.tolist() for t in (nothing, nothing, ramp, nothing, ramp)]


def test_a_mask_that_is_true_everywhere_changes_no_bytes():
    everywhere = [IntegerTensor(t.values, t.context, np.ones(t.values.shape, np.bool_)) for t in CASES.values()]
    assert encode_tensors(everywhere) == encode_tensors(list(CASES.values()))


def test_tensors_without_coded_elements_are_not_there():
    nothing = IntegerTensor(np.ones((3, 5), np.int32), None, np.zeros((3, 5), np.bool_))
    some = CASES[codings.SINGLE]
    encoded = check([nothing, some, nothing])
    alone = encode_tensors([some])
    assert (encoded.tables, encoded.symbols) == (alone.tables, alone.symbols)
    assert encoded.codings == (codings.ZERO, codings.SINGLE, codings.ZERO)
    assert encoded.bits == (0.0, *alone.bits, 0.0) and code_length([nothing, some]) == code_length([some])
    assert len(encode_tensors([nothing]).tables) == 1  # the K code and the escape order


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=60), st.booleans())
def test_noise_never_does_worse_than_a_format_error(tables_section, symbols_section, with_context):
    shapes = [(2, 3), (4,), (0, 2)]
    contexts = [np.ones(shape, np.uint8) if with_context else None for shape in shapes]
    try:
        back = decode_tensors(shapes, contexts, tables_section, symbols_section)
    except FormatError:
        return
    assert [t.shape for t in back] == shapes and all(np.abs(t).max(initial=0) <= MAX_MAGNITUDE for t in back)


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 140000])
def test_blocks_begin_at_multiples_of_65536(size):
    tensor = IntegerTensor(laplace(size, 0.3, size))
    tensor.values[-1] = 1000
    encoded = check([tensor])
    cursor = fields.Cursor(encoded.symbols, "symbols")
    for _ in range(-(-size // 65536)):
        cursor.take(cursor.uvarint("length"), "block")
    assert 1 <= cursor.remaining <= 4  # one escape


@pytest.mark.parametrize("scale", [0.02, 0.5, 3.0, 900.0])
def test_code_length_is_what_the_payload_takes(scale):
    tensors = [IntegerTensor(laplace(i, scale * np.geomspace(0.3, 3, 60)[:, None], 60, 50)) for i in range(5)]
    encoded = encode_tensors(tensors)
    assert code_length(tensors) / 8 == pytest.approx(len(encoded.tables) + len(encoded.symbols), abs=4)


def test_the_extremes_are_coded_and_beyond_them_is_a_bug():
    check([IntegerTensor(np.array([MAX_MAGNITUDE, -MAX_MAGNITUDE, 0], np.int32))])
    with pytest.raises(AssertionError):
        IntegerTensor(np.array([MAX_MAGNITUDE + 1], np.int32))


def test_no_tensors_and_no_elements():
    assert check([]).symbols == b""
    assert check([IntegerTensor(np.zeros((0, 7), np.int32))]).codings == (codings.ZERO,)


def tables_section(*bits: tuple[int, int]) -> bytes:
    out = BitWriter()
    for value, width in bits:
        out.fixed(value, width)
    return out.getvalue()


HEAD = ((1, 3), (0, 5))
FORBIDDEN = {
    "K code 6": ((6, 3), (0, 5), (0, 3)),
    "K code 7": ((7, 3), (0, 5), (0, 3)),
    "escape order 24": ((1, 3), (24, 5), (0, 3)),
    "escape order 31": ((1, 3), (31, 5), (0, 3)),
    "decay index 48": (*HEAD, (codings.SINGLE, 3), (0, 6), (48, 6)),
    "CONTEXT coding of a tensor that has no context": (*HEAD, (codings.CONTEXT, 3), (0, 6), (0, 6)),
    "scale index 64": (*HEAD, (codings.ROWS, 3), (4, 4), (0, 2), (63, 6), (0b110, 3)),
    "scale index -1": (*HEAD, (codings.ROWS, 3), (4, 4), (0, 2), (0, 6), (0b10, 2)),
    "prefix is longer than 15": (*HEAD, (codings.ROWS, 3), (4, 4), (3, 2), (0, 6), (2**17 - 1, 17)),
    "holds 127, over 126": (*HEAD, (codings.ROWS, 3), (4, 4), (3, 2), (0, 6), ((2**16 - 2 << 3) | 7, 19)),
    "not padding": (*HEAD, (codings.ZERO, 3), (1, 1), (1, 1)),
    "prefix is longer than 0": (*HEAD, (codings.ZERO, 3), (0b010, 3)),
    "LIKE coding without a tensor coded SINGLE": (*HEAD, (codings.LIKE, 3)),
    "bits end before": (*HEAD, (codings.SINGLE, 3), (0, 5)),
}


@pytest.mark.parametrize("message", FORBIDDEN)
def test_each_forbidden_table_is_named(message):
    with pytest.raises(MalformedError, match=message):
        decode_tensors([(2, 3)], [None], tables_section(*FORBIDDEN[message]), b"")


@pytest.mark.parametrize("coding", [6, 7])
def test_an_unknown_coding_is_a_missing_feature(coding):
    with pytest.raises(FeatureError, match=f"coding {coding}"):
        decode_tensors([(2, 3)], [None], tables_section(*HEAD, (coding, 3)), b"")


def test_an_escape_over_the_largest_magnitude_is_refused():
    """The same payload with the Exp-Golomb string of the largest value, and of the one after it."""
    tensor = IntegerTensor(np.array([[MAX_MAGNITUDE]], np.int32))
    encoded = encode_tensors([tensor])
    plan = codings.read_plan(encoded.tables, [Elements((1, 1))])
    length = encoded.symbols[0]
    for magnitude, legal in ((MAX_MAGNITUDE, True), (MAX_MAGNITUDE + 1, False), (2**40, False)):
        out = BitWriter()
        out.exp_golomb(magnitude - plan.k_max - 1, plan.escape_order)
        symbols = encoded.symbols[: 1 + length] + out.getvalue()
        if legal:
            assert symbols == encoded.symbols
        else:
            with pytest.raises(MalformedError):
                decode_tensors([(1, 1)], [None], encoded.tables, symbols)


def test_block_lengths_are_checked():
    encoded = encode_tensors([CASES[codings.SINGLE]])
    cursor = fields.Cursor(encoded.symbols, "symbols")
    length = cursor.uvarint("length")
    body = encoded.symbols[cursor.position :]
    for wrong in (0, length - 1, length + 1, 2**40):
        with pytest.raises(MalformedError):
            decode_tensors([(40, 50)], [None], encoded.tables, fields.uvarint(wrong) + body)


def test_rows_beat_one_table_by_what_their_scales_differ():
    tensor = CASES[codings.ROWS]
    counts = tables.histogram(tensor.values, 63)
    single = float(tables.cost(counts, *tables.fit(counts)))
    assert encode_tensors([tensor]).bits[0] < 0.85 * single


@given(st.lists(st.tuples(st.integers(0, 126), st.integers(0, 3)), max_size=3000), st.binary(max_size=3))
def test_bit_strings_come_back(codes, tail):
    """Rice and Exp-Golomb codes across the reader's windows."""
    out = BitWriter()
    for value, order in codes:
        out.rice(value, order)
        out.exp_golomb(value, order)
    data = out.getvalue()
    bits = BitReader(data, "test")
    for value, order in codes:
        assert (bits.rice(order, 126), bits.exp_golomb(order, MAX_MAGNITUDE)) == (value, value)
    bits.finish()


@given(st.lists(st.integers(0, MAX_MAGNITUDE), min_size=1, max_size=30))
def test_the_escape_order_is_the_cheapest(values):
    array = np.array(values, np.int64)
    order, bits = _best_order(array, np.ones_like(array))

    def real(k: int) -> int:
        return sum(2 * (v + (1 << k)).bit_length() - 1 - k for v in values)

    assert bits == real(order) == int(_exp_golomb_bits(array, order).sum())
    assert bits == min(real(k) for k in range(codings.MAX_ESCAPE_ORDER + 1))
