"""Reading ahead keeps the order, the bound and the first error."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from distill.data.prefetch import ahead, batches


def test_order_is_kept_and_all_is_done_once():
    with ThreadPoolExecutor(3) as pool:
        assert list(ahead(pool, lambda n: n * n, range(50), depth=4)) == [n * n for n in range(50)]
        assert list(ahead(pool, lambda n: n, [], depth=4)) == []


def test_no_more_is_begun_than_the_depth_allows():
    begun: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        made = ahead(pool, begun.append, range(100), depth=4)
        next(made)
        made.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert len(begun) <= 5


def test_work_goes_on_while_a_result_is_used():
    second = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        made = ahead(pool, lambda n: second.set() if n else None, range(3), depth=1)
        next(made)
        assert second.wait(10)


def test_an_error_comes_in_its_turn():
    with ThreadPoolExecutor(2) as pool:
        made = ahead(pool, lambda n: 1 // (n - 3), range(10), depth=5)
        assert [next(made) for _ in range(3)] == [1 // (n - 3) for n in range(3)]
        with pytest.raises(ZeroDivisionError):
            next(made)


def test_batches_leave_nothing_out():
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches(range(6), 3)) == [[0, 1, 2], [3, 4, 5]]
    assert list(batches([], 3)) == []
