"""Masks: exact round trips under every coding, golden bytes, a choice near the entropy, and what is refused."""

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvcodec.bitstream import fields
from nvcodec.entropy import choose_mask, mask_codings
from nvcodec.entropy.bits import BitWriter
from nvcodec.entropy.indices import INDICES
from nvcodec.entropy.mask_codings import ALL, COLUMNS, NONE, PRODUCT, ROWS, SINGLE, DensityList, MaskPlan
from nvcodec.entropy.masks import decode_masks, encode_masks
from nvcodec.errors import FeatureError, FormatError, MalformedError


@pytest.fixture(autouse=True)
def builtin_coder(monkeypatch):
    """These tests are about layout and choice; the coders are compared in test_entropy_arithmetic."""
    monkeypatch.setenv("NVCODEC0a8c7ff7f9fffff9ffffea03acfa60ODER", "builtin")


def random_mask(seed, log_odds):
    """A mask of independent elements, and the bits that an ideal coder takes for it."""
    likely = 1 / (1 + np.exp(-log_odds))
    mask = np.random.default_rng(seed).random(likely.shape) < likely
    return mask, float(-np.log2(np.where(mask, likely, 1 - likely)).sum())


def normal(seed, scale, *shape):
    return np.random.default_rng(seed).normal(0, scale, shape)


def check(masks):
    data = encode_masks(masks)
    back = decode_masks([mask.shape for mask in masks], data)
    assert [found.shape for found in back] == [mask.shape for mask in masks]
    assert all(found.dtype == np.bool_ and np.array_equal(a, found) for a, found in zip(masks, back, strict=True))
    return data


def plans_of(masks):
    return [choose_mask.choose_mask(mask) for mask in masks]


CASES = {
    NONE: np.zeros((3, 4, 5), np.bool_),
    ALL: np.ones((7, 9), np.bool_),
    SINGLE: random_mask(1, np.full((30, 10, 3, 3), -1.0))[0],
    ROWS: random_mask(2, normal(3, 2, 40, 1) + np.zeros(90))[0],
    COLUMNS: random_mask(4, normal(5, 2, 40, 1, 3) + np.zeros((60, 40, 1, 3)))[0],
    PRODUCT: random_mask(6, normal(7, 1.5, 60, 1) + normal(8, 1.5, 80))[0],
}


@pytest.mark.parametrize("coding", CASES)
def test_each_coding_is_chosen_where_it_is_cheapest(coding):
    check([CASES[coding]])
    assert plans_of([CASES[coding]])[0].coding == coding


def test_all_codings_in_one_section():
    check(list(CASES.values()))


def test_tensors_without_elements_of_interest_cost_three_bits_each():
    assert encode_masks([CASES[NONE], CASES[ALL]] * 4) == bytes([3, *[0b00000100, 0b00010000, 0b01000001]])
    assert encode_masks([]) == b"\0" and decode_masks([], b"\0") == []


SMALL = np.array([[1, 0, 1, 1, 0, 1], [0, 0, 0, 1, 0, 0], [1, 1, 1, 1, 1, 1], [1, 0, 0, 1, 1, 0]], np.bool_)
PLANS = {
    SINGLE: MaskPlan(SINGLE, density=33),
    ROWS: MaskPlan(ROWS, rows=DensityList((36, 25, 63, 32), 2)),
    COLUMNS: MaskPlan(COLUMNS, columns=DensityList((35, 25, 32, 54, 33, 32), 1)),
    PRODUCT: MaskPlan(PRODUCT, rows=DensityList((34, 28, 60, 31), 3), columns=DensityList((33, 0, 31, 63, 33, 33), 3)),
}
GOLDEN = {
    SINGLE: "02508003a5e0e9",
    ROWS: "08749f3ffffc7fff200279f1",
    COLUMNS: "0a8c7ff7f9fffff9ffffea03acfa60",
    PRODUCT: "0dbc53ff0fe3c3fe3fdbfc3f980002b7f0",
}


@pytest.mark.parametrize("coding", PLANS)
def test_golden(coding):
    """Files that exist depend on these bytes."""
    with mock.patch("nvcodec.entropy.masks.choose_mask", lambda _: PLANS[coding]):
        assert check([SMALL]).hex() == GOLDEN[coding]


def test_tables_are_exact_quarter_octaves_of_odds():
    table = mask_codings.cumulative()
    assert table.shape == (INDICES, 3) and (table[:, 0] == 0).all() and (table[:, 2] == 65536).all()
    q = [65536, 77936, 92682, 110218]
    for d in range(INDICES):
        w = q[abs(d - 32) % 4] * 2 ** (abs(d - 32) // 4)
        zero = 1 + 65534 * (65536 if d >= 32 else w) // (65536 + w)
        assert table[d, 1] == zero
        assert math.log2((65536 - zero) / zero) * 4 == pytest.approx(d - 32, abs=0.1)


@pytest.mark.parametrize(
    ("shape", "rows", "columns", "mean"),
    [((400, 500), 1.5, 1.5, 0), ((400, 500), 0.4, 0.4, 0), ((600, 300), 2, 2, -3), ((300, 64, 3, 3), 1, 2, 2)],
)
def test_products_are_coded_near_their_entropy(shape, rows, columns, mean):
    """All but what the indices of rows and columns take, under 8 bits each."""
    count = math.prod(shape[1:])
    mask, ideal = random_mask(11, normal(12, rows, shape[0], 1) + normal(13, columns, count) + mean)
    (plan,) = plans_of([mask.reshape(shape)])
    assert plan.coding == PRODUCT
    elements = 8 * len(check([mask.reshape(shape)])) - list_bits(plan)
    assert elements < 1.005 * ideal and list_bits(plan) < 8 * (shape[0] + count)


def list_bits(plan):
    """What a header with one plan takes."""
    out = BitWriter()
    mask_codings.write_mask_plan(out, plan)
    return 8 * len(out.getvalue())


def test_noise_upon_a_product_costs_what_its_entropy_is():
    """Unpredictable noise of the log odds: what can be known is the law of its mean."""
    grid = normal(21, 1.5, 400, 1) + normal(22, 1.5, 500)
    mask, _ = random_mask(23, grid + normal(24, 1, 400, 500))
    nodes, mass = np.polynomial.hermite_e.hermegauss(15)
    likely = sum(m * (1 / (1 + np.exp(-grid - x))) for x, m in zip(nodes, mass / mass.sum(), strict=True))
    ideal = float(-np.log2(np.where(mask, likely, 1 - likely)).sum())
    (plan,) = plans_of([mask])
    assert plan.coding == PRODUCT and 8 * len(encode_masks([mask])) - list_bits(plan) < 1.005 * ideal


def test_lists_of_rows_that_are_alike_are_short():
    """Their counts differ by chance, which no list follows."""
    mask, _ = random_mask(31, np.repeat([-2.0, 2.0], 50)[:, None] + np.zeros(60))
    (plan,) = plans_of([mask])
    assert plan.coding == ROWS and list_bits(plan) < 200
    assert plans_of([random_mask(32, np.zeros((100, 60)))[0]])[0].coding == SINGLE


masks_of_any_shape = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=9))


@settings(max_examples=100, deadline=None)
@given(st.lists(masks_of_any_shape, max_size=4))
def test_any_masks_come_back(masks):
    assert len(check(masks)) <= sum(m.size for m in masks) / 8 + 2 * len(masks) + 4


def lists(count):
    return st.builds(
        lambda indices, order: DensityList(tuple(indices), order),
        st.lists(st.integers(0, 63), min_size=count, max_size=count),
        st.integers(0, 3),
    )


@st.composite
def planned(draw):
    """A mask and a plan that need not suit it."""
    mask = draw(masks_of_any_shape)
    coding = draw(st.sampled_from([SINGLE] if mask.ndim == 1 else [SINGLE, ROWS, COLUMNS, PRODUCT]))
    rows, columns = lists(mask.shape[0]), lists(math.prod(mask.shape[1:]))
    return mask, MaskPlan(
        coding,
        density=draw(st.integers(0, 63)) if coding == SINGLE else 32,
        rows=draw(rows) if coding in (ROWS, PRODUCT) else None,
        columns=draw(columns) if coding in (COLUMNS, PRODUCT) else None,
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(planned(), max_size=3))
def test_masks_come_back_under_any_plan(cases):
    plans = iter([plan for _, plan in cases])
    with mock.patch("nvcodec.entropy.masks.choose_mask", lambda _: next(plans)):
        check([mask for mask, _ in cases])


@pytest.mark.parametrize("sizes", [(65535,), (65536,), (65537,), (40000, 30000, 70000)])
def test_blocks_begin_at_multiples_of_65536_of_all_elements(sizes):
    masks = [random_mask(size, np.full(size, 2.0))[0] for size in sizes]
    cursor = fields.Cursor(check(masks), "masks")
    cursor.take(cursor.uvarint("length"), "header")
    for _ in range(-(-sum(sizes) // 65536)):
        cursor.take(cursor.uvarint("length"), "block")
    cursor.done()


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", PLANS)
def test_every_cut_and_addition_is_refused_and_every_flip_seen(coding):
    section = bytes.fromhex(GOLDEN[coding])
    for bad in [section[:cut] for cut in range(len(section))] + [section + b"\0", section + b"\x80"]:
        with pytest.raises(MalformedError):
            decode_masks([SMALL.shape], bad)
    for bit in range(8 * len(section)):
        flipped = bytearray(section)
        flipped[bit // 8] ^= 128 >> bit % 8
        try:
            (back,) = decode_masks([SMALL.shape], bytes(flipped))
        except FormatError:
            continue
        # Other densities may happen to decode the same symbols; another block may not.
        assert back.shape == SMALL.shape and (bit < 8 * (1 + section[0]) or not np.array_equal(back, SMALL))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_noise_never_does_worse_than_a_format_error(data):
    shapes = [(2, 3), (4,), (2, 2, 2)]
    try:
        back = decode_masks(shapes, data)
    except FormatError:
        return
    assert [mask.shape for mask in back] == shapes


def section(*bits, rest=b"", length=None):
    """A mask section with a header of (value, width) fields."""
    out = BitWriter()
    for value, width in bits:
        out.fixed(value, width)
    head = out.getvalue()
    return fields.uvarint(len(head) if length is None else length) + head + rest


FORBIDDEN = {
    "density index 64": section((ROWS, 3), (0, 2), (63, 6), (0b110, 3)),
    "density index -1": section((COLUMNS, 3), (0, 2), (0, 6), (0b10, 2)),
    "prefix is longer than 15": section((ROWS, 3), (3, 2), (0, 6), (2**17 - 1, 17)),
    "holds 127, over 126": section((ROWS, 3), (3, 2), (0, 6), ((2**16 - 2 << 3) | 7, 19)),
    "not padding": section((NONE, 3), (1, 1)),
    "bits that are not padding": section((ALL, 3), (0, 8)),
    "bits end before": section((SINGLE, 3), (0, 5)),
    "header needs 2 bytes where 1 are left": section((NONE, 3), length=2),
    "header length needs 1 bytes": b"",
    "a varint that is longer": b"\x81\x00\x00",
    "block length needs 1 bytes": section((SINGLE, 3), (32, 6)),
    "block needs 9 bytes": section((SINGLE, 3), (32, 6), rest=b"\x09\x00"),
    "a block of 0 bytes is not the coding of its 6": section((SINGLE, 3), (32, 6), rest=b"\x00"),
    "1 bytes are left over": section((NONE, 3), rest=b"\x00"),
}


@pytest.mark.parametrize("message", FORBIDDEN)
def test_each_forbidden_section_is_named(message):
    with pytest.raises(MalformedError, match=message):
        decode_masks([(2, 3)], FORBIDDEN[message])


@pytest.mark.parametrize("coding", [ROWS, COLUMNS, PRODUCT])
def test_a_tensor_of_rank_one_has_neither_rows_nor_columns(coding):
    with pytest.raises(MalformedError, match=f"mask coding {coding} of a tensor of rank 1"):
        decode_masks([(5,)], section((coding, 3), (0, 2), (32, 6), (0, 4)))


@pytest.mark.parametrize("coding", [6, 7])
def test_an_unknown_coding_is_a_missing_feature(coding):
    with pytest.raises(FeatureError, match=f"mask coding {coding}"):
        decode_masks([(2, 3)], section((coding, 3)))
