"""Items made in a thread of their own."""

import threading

import pytest

from nvcodec.decode.ahead import Ahead


def test_items_and_the_end_come_in_order():
    with Ahead(iter([None, 1, StopIteration]), "items") as ahead:
        assert list(ahead) == [None, 1, StopIteration]
        assert ahead.at_hand
        with pytest.raises(StopIteration):
            next(ahead)


def test_an_error_comes_where_it_occurred():
    def items():
        yield 1
        raise ValueError("here")

    with Ahead(items(), "items") as ahead:
        assert next(ahead) == 1
        for _ in range(2):
            with pytest.raises(ValueError, match="here"):
                next(ahead)


def test_what_is_at_hand():
    go = threading.Event()

    def items():
        go.wait()
        yield 1

    with Ahead(items(), "items") as ahead:
        assert not ahead.at_hand
        go.set()
        assert next(ahead) == 1


def test_no_more_is_made_than_two_items_ahead():
    made = []
    with Ahead((made.append(n) or n for n in range(100)), "items") as ahead:
        for n in range(50):
            assert next(ahead) == n
            assert len(made) <= n + 3


def test_the_thread_ends_with_the_context():
    before = set(threading.enumerate())
    with Ahead(iter(range(100)), "items") as ahead:
        next(ahead)
        (thread,) = set(threading.enumerate()) - before
    thread.join(5)
    assert not thread.is_alive()
