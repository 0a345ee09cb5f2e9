"""Arithmetic coding: the built-in coder, torchac, and that they are one."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from absence import absent
from hypothesis import given, settings
from hypothesis import strategies as st

from nvcodec.entropy import arithmetic, builtin, tables
from nvcodec.errors import MalformedError, UsageError

ROWS = tables.cdf_rows([24, 63, 0, 40], [4, 0, 47, 8], 3)
GOLDEN_SYMBOLS = [4, 4, 5, 3, 0, 8, 4, 6, 1, 2, 7, 4, 4, 4, 4, 4]
GOLDEN_INDEX = [0, 1, 2, 3] * 4
GOLDEN = "80fd4d46e4f1f1f416c4b5cc80"


@pytest.fixture(params=["builtin", "torchac"])
def coder(request, monkeypatch):
    if request.param == "torchac" and not torchac_is_here():
        absent("torchac cannot be loaded here: it needs a C++ compiler")
    monkeypatch.setenv("NVCODEC_CODER", request.param)
    return request.param


def torchac_is_here() -> bool:
    return arithmetic._load()[0] is not None


@st.composite
def sequences(draw, max_size=300):
    """Tables of any kind (not only ours) and symbols that need not follow them."""
    size = draw(st.integers(2, 9))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        cuts = draw(st.lists(st.integers(1, 65535), min_size=size - 1, max_size=size - 1, unique=True))
        rows.append([0, *sorted(cuts), 65536])
    symbols = draw(st.lists(st.integers(0, size - 1), max_size=max_size))
    index = draw(st.lists(st.integers(0, len(rows) - 1), min_size=len(symbols), max_size=len(symbols)))
    return rows, symbols, index


def bitwise_encode(symbols, rows, index):
    """Nelson's coder one bit at a time, as the specification writes it."""
    low, high, pending, bits = 0, 2**32 - 1, 0, []

    def put(bit):
        nonlocal pending
        bits.extend([bit] + [1 - bit] * pending)
        pending = 0

    for symbol, i in zip(symbols, index, strict=True):
        span = high - low + 1
        high = low + (span * rows[i][symbol + 1] >> 16) - 1
        low = low + (span * rows[i][symbol] >> 16)
        while True:
            if high < 2**31:
                put(0)
            elif low >= 2**31:
                put(1)
                low, high = low - 2**31, high - 2**31
            elif low >= 2**30 and high < 3 * 2**30:
                pending += 1
                low, high = low - 2**30, high - 2**30
            else:
                break
            low, high = 2 * low, 2 * high + 1
    pending += 1
    put(int(low >= 2**30))
    bits += [0] * (-len(bits) % 8)
    return bytes(np.packbits(np.array(bits, dtype=np.uint8)))


@given(sequences())
def test_builtin_writes_what_the_specification_says(case):
    rows, symbols, index = case
    data = builtin.encode(symbols, rows, index)
    assert data == bitwise_encode(symbols, rows, index)
    assert builtin.decode(data, rows, index) == (symbols, True)


@given(sequences(), st.binary(max_size=60))
def test_builtin_knows_its_own_output(case, noise):
    """`canonical` is true of exactly the bytes that encode writes."""
    rows, _, index = case
    symbols, canonical = builtin.decode(noise, rows, index)
    assert len(symbols) == len(index)
    assert canonical == (builtin.encode(symbols, rows, index) == noise)


@pytest.mark.skipif(not torchac_is_here(), reason="torchac cannot be loaded here")
@settings(deadline=None)
@given(sequences(), st.binary(max_size=60))
def test_torchac_and_builtin_agree(case, noise):
    rows, symbols, index = np.array(case[0], np.int32), np.array(case[1], np.int16), np.array(case[2], np.int64)

    def both(action):
        outcomes = []
        for name in ("torchac", "builtin"):
            os.environ["NVCODEC_CODER"] = name
            try:
                outcomes.append(action())
            except MalformedError as error:
                outcomes.append(str(error))
        return outcomes

    before = os.environ.get("NVCODEC_CODER")
    try:
        data, same = both(lambda: arithmetic.encode(symbols, rows, index))
        assert data == same
        for payload in (data, noise, data[:-1], data + b"\0"):
            first, second = both(lambda payload=payload: arithmetic.decode(payload, rows, index))
            assert type(first) is type(second) and np.array_equal(first, second)
    finally:
        os.environ.pop("NVCODEC_CODER") if before is None else os.environ.update(NVCODEC_CODER=before)


def test_golden(coder):
    symbols, index = np.array(GOLDEN_SYMBOLS, np.int16), np.array(GOLDEN_INDEX)
    assert arithmetic.encode(symbols, ROWS, index).hex() == GOLDEN
    decoded = arithmetic.decode(bytes.fromhex(GOLDEN), ROWS, index)
    assert decoded.dtype == np.int16 and decoded.tolist() == GOLDEN_SYMBOLS


def test_not_the_encoders_bytes_are_refused(coder):
    data, index = bytes.fromhex(GOLDEN), np.array(GOLDEN_INDEX)
    for wrong in (b"", data[:-1], data + b"\0", data + b"\1", data[:-1] + bytes([data[-1] ^ 1])):
        with pytest.raises(MalformedError):
            arithmetic.decode(wrong, ROWS, index)
    # A flip decodes to other symbols, or is refused; it never passes for the same ones.
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 128 >> bit % 8
        try:
            assert arithmetic.decode(bytes(flipped), ROWS, index).tolist() != GOLDEN_SYMBOLS
        except MalformedError:
            pass


def test_nothing_is_coded_in_no_bytes(coder):
    none = np.zeros(0, np.int64)
    assert arithmetic.encode(none.astype(np.int16), ROWS, none) == b""
    assert len(arithmetic.decode(b"", ROWS, none)) == 0
    with pytest.raises(MalformedError):
        arithmetic.decode(b"\0", ROWS, none)


def test_long_pending_runs(coder):
    """Symbols around one half keep low and high astride it: bits wait for hundreds of symbols."""
    rows = np.array([[0, 32767, 32769, 65536]], np.int32)
    symbols = np.array([1] * 400 + [0], np.int16)
    index = np.zeros(401, np.int64)
    data = arithmetic.encode(symbols, rows, index)
    assert data == bitwise_encode(symbols.tolist(), rows.tolist(), index.tolist())
    assert np.array_equal(arithmetic.decode(data, rows, index), symbols)


def test_a_wrong_choice_is_named(monkeypatch):
    monkeypatch.setenv("NVCODEC_CODER", "zip")
    with pytest.raises(UsageError, match="NVCODEC_CODER=zip"):
        arithmetic.prepare()


NO_TORCHAC = """
import sys, importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "torchac" else find(name, *more)
from nvcodec.entropy import arithmetic
print(arithmetic.prepare(), arithmetic.prepare(), "torch" in sys.modules)
"""


def run(script: str, choice: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "NVCODEC_CODER": choice, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300)


def test_without_torchac_the_builtin_coder_steps_in_and_says_so_once():
    done = run(NO_TORCHAC, "auto")
    assert done.stdout.split() == ["builtin", "builtin", "False"]
    assert done.stderr.count("\n") == 1 and "torchac is not installed" in done.stderr


def test_torchac_asked_for_and_missing_is_an_error():
    done = run(NO_TORCHAC, "torchac")
    assert done.returncode and "NVCODEC_CODER=torchac" in done.stderr.splitlines()[-1] and not done.stdout


@pytest.mark.skipif(not torchac_is_here(), reason="torchac cannot be loaded here")
def test_loading_torchac_prints_nothing():
    done = run("from nvcodec.entropy import arithmetic; arithmetic.prepare()", "torchac")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_stale_build_lock_is_removed_and_a_fresh_one_waited_for(tmp_path, monkeypatch):
    lock = tmp_path / "lock"
    lock.touch()
    os.utime(lock, (time.time() - 1000, time.time() - 1000))
    arithmetic._wait_for_other_build(lock)
    assert not lock.exists()
    lock.touch()
    monkeypatch.setattr(time, "sleep", lambda _: lock.unlink())
    arithmetic._wait_for_other_build(lock)
    assert not lock.exists()
