"""What others published: the figures that are shipped, and what an entry has to say."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import pytest

from distill.config.compose import load
from distill.errors import UserError
from distill.protocol.published import Published

FIRST = Published(who="YMJ", place=1, tpr=0.8878, source="a table", comparable=False, reason="other labels")
WINNERS = {"deepglint_light": 0.8878, "deepglint_large": 0.9419, "iqiyi_light": 0.6323, "iqiyi_large": 0.72981}


@pytest.mark.parametrize("name", WINNERS)
def test_the_shipped_figures_have_a_source_and_a_reason(name: str):
    conf = load("check", ["model=x.onnx", f"protocol={name}"]).protocol
    board = conf.published
    assert [entry.tpr for entry in board if entry.place == 1] == [WINNERS[name]]
    assert any("baseline" in entry.who for entry in board)
    assert all(entry.source and entry.reason and not entry.comparable for entry in board)
    assert conf.flip == (conf.kind == "image")
    assert (conf.fusion is None) == (conf.kind == "image")


def test_names():
    assert FIRST.name == "1st: YMJ"
    at = partial(Published, who="x", tpr=0.5, source="s", comparable=True)
    places = [at(place=place).ordinal for place in (2, 3, 4, None)]
    assert places == ["2nd", "3rd", "4th", ""]
    assert at(place=None).name == "x"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tpr": 88.78}, "is 88.78; expected a rate above 0 and up to 1"),
        ({"tpr": 0.0}, "is 0.0; expected a rate"),
        ({"source": ""}, "has no source; expected where it was read"),
        ({"reason": ""}, "is not comparable; expected the reason as well"),
    ],
)
def test_an_entry_that_says_too_little(changed: dict, said: str):
    with pytest.raises(UserError, match=said):
        Published(**{**asdict(FIRST), **changed})
