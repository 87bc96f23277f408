from __future__ import annotations

from pathlib import Path

import pytest

from distill.data.faceset import Joined, spread
from distill.data.recordio import RecordIOSet
from distill.types import UNLABELLED

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_joined_keeps_every_image_and_only_the_first_labels() -> None:
    parts = [RecordIOSet(FIXTURES / name) for name in ("header", "headerless", "split")]
    joined = Joined(parts[0], parts[1:])
    assert len(joined) == 6 + 4 + 3
    assert joined.classes == 3
    assert joined.labels.tolist() == [0, 0, 1, 1, 2, 2] + [UNLABELLED] * 7
    assert [joined.read(i) for i in range(13)] == [part.read(i) for part in parts for i in range(len(part))]
    assert [joined.name(i) for i in (5, 6, 10)] == [parts[0].name(5), parts[1].name(0), parts[2].name(0)]


def test_joined_fingerprint_depends_on_the_order() -> None:
    one, two, three = (RecordIOSet(FIXTURES / name) for name in ("header", "headerless", "split"))
    assert Joined(one, [two, three]).fingerprint() != Joined(one, [three, two]).fingerprint()
    assert Joined(one, [two]).fingerprint() == Joined(one, [two]).fingerprint()


def test_joined_without_transfer_is_the_set() -> None:
    one = RecordIOSet(FIXTURES / "header")
    assert Joined(one, []).labels.tolist() == one.labels.tolist()


@pytest.mark.parametrize(("count", "of", "expected"), [(3, 9, [0, 4, 8]), (5, 2, [0, 1]), (1, 7, [0]), (4, 0, [])])
def test_spread(count: int, of: int, expected: list[int]) -> None:
    assert spread(count, of) == expected
