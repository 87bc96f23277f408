"""Prefetching with threads or processes, in order and with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(pool: Executor, work: Callable[[Item], Made], items: Iterable[Item], depth: int) -> Iterator[Made]:
    """``work`` of every item in order, with at most ``depth`` results waiting; an error is raised at its item."""
    queue: deque[Future[Made]] = deque()
    try:
        for item in items:
            queue.append(pool.submit(work, item))
            if len(queue) > depth:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        # the consumer stopped early: do not start what is still queued
        for future in queue:
            future.cancel()


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of ``size`` items, the last one shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
