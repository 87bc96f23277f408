"""The rule by which damaged images are counted, in every job."""

from __future__ import annotations

import logging

import pytest

from distill.data.damage import Damage
from distill.errors import UserError


def test_each_image_is_told_and_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    damage = Damage(2)
    with caplog.at_level(logging.WARNING):
        for key, what in ((4, "a: torn"), (4, "a: torn"), (9, "b: gone")):
            damage.note(key, what)
    assert [record.getMessage() for record in caplog.records] == [
        "a: torn: skipped (damaged image 1 of at most 2)",
        "b: gone: skipped (damaged image 2 of at most 2)",
    ]
    assert damage.to_json() == {"damaged_images": 2, "damaged": ["a: torn", "b: gone"]}
    assert damage.words() == "2 damaged images left out"


def test_one_too_many_is_an_error_with_the_first_names() -> None:
    damage = Damage(5, "data.max_damaged", "this set")
    for number in range(5):
        damage.note(number, f"n{number}: torn")
    with pytest.raises(UserError) as caught:
        damage.note(5, "n5: torn")
    assert str(caught.value) == (
        "n5: torn: damaged, number 6 of this set; data.max_damaged allows 5: mend the data or raise the limit "
        "(before it n0: torn; n1: torn; n2: torn and 2 more)"
    )


def test_what_an_interrupted_run_has_told_counts_again_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    damage = Damage(1)
    damage.recall(3, "c: torn")
    damage.note(3, "c: torn")
    assert not caplog.records
    with pytest.raises(UserError, match="d: torn: damaged, number 2"):
        damage.note(4, "d: torn")


def test_a_limit_below_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="max_damaged is -1; expected 0 or more"):
        Damage(-1)
