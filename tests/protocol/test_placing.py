"""The closing table: the protocol's own rate first, others' figures beside it, and every star explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.files.network_file import NetworkFile
from distill.metrics.allpairs import AllPairs, Point
from distill.protocol.limits import Protocol
from distill.protocol.placing import notes, table
from distill.protocol.published import Published
from distill.protocol.verdict import judge
from reference.tiny_onnx import TinyOnnx

LIMITS = Protocol("p", 10**9, 20_000_000, "float32", 512, 1e-4, "video", "test")
BOARD = [
    Published(who="A", place=1, tpr=0.6323, source="table 9", comparable=False, reason="other labels"),
    Published(who="B", place=None, tpr=0.5, source="table 9", comparable=False, reason="older labels"),
    Published(who="C", place=2, tpr=0.25, source="a page", comparable=True, reason=""),
]


def scored(*points: Point) -> AllPairs:
    return AllPairs(points, (12,), 512, 4, 3, 66, 5, 61, 0.95, 1000, 0)


@pytest.fixture
def rows(tmp_path: Path):
    verdict = judge(NetworkFile(TinyOnnx(width=512).write(tmp_path / "a.onnx")), LIMITS)
    points = [Point(1e-1, 0.9, 0.2, 6, 4, None, "all"), Point(1e-4, 0.876543, 0.4, 0, 3, (0.8, 0.91), "all")]
    return table(verdict, scored(*points), BOARD)


def test_the_protocol_s_rate_comes_first_with_the_winner_s_beside_it(rows):
    assert rows[0] == ("TPR at FPR 0.0001", "87.65 % (80.00 to 91.00)", "63.23 %, 1st *")
    assert rows[1] == ("TPR at FPR 0.1", "90.00 %", "")


def test_pairs_cost_and_every_published_figure_follow(rows):
    cells = {name: (value, other) for name, value, other in rows}
    assert cells["videos"] == ("12", "")
    assert (cells["people"][0], cells["distractors"][0]) == ("4", "3")
    assert (cells["genuine pairs"][0], cells["impostor pairs"][0]) == ("5", "61")
    assert cells["counter-FLOPs"][1] == "at most 1,000,000,000"
    assert rows[-3:] == [("1st: A", "", "63.23 % *"), ("B", "", "50.00 % *"), ("2nd: C", "", "25.00 %")]


def test_every_star_is_explained_and_every_source_named():
    told = notes(LIMITS, scored(Point(1e-4, 0.5, 0.4, 0, 3, (0.8, 0.91))), BOARD)
    assert told == [
        "in brackets: 95% intervals, by resampling people",
        "(*) not comparable: other labels (A)",
        "(*) not comparable: older labels (B)",
        "source of A, B: table 9",
        "source of C: a page",
    ]


def test_a_rate_that_has_too_few_pairs(tmp_path: Path):
    scores = scored(Point(1e-4, missing="61 impostor pairs"), Point(1e-5, missing="61 impostor pairs"))
    verdict = judge(NetworkFile(TinyOnnx(width=512).write(tmp_path / "a.onnx")), LIMITS)
    rates = [row for row in table(verdict, scores, []) if row[0].startswith("TPR")]
    assert rates == [("TPR at FPR 0.0001", "too few pairs", "")], "and the protocol's alone says so"
    assert notes(LIMITS, scores, [])[0] == "TPR@FPR=0.0001 cannot be measured here: 61 impostor pairs"
