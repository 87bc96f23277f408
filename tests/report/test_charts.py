from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from distill.report.charts import HEIGHT, WIDTH, ChartLine, Scale, curves, histogram, roc


def _points(svg: str) -> list[tuple[float, float]]:
    line = ElementTree.fromstring(svg).find("polyline")
    assert line is not None
    return [(float(a), float(b)) for a, b in (pair.split(",") for pair in line.attrib["points"].split())]


def test_every_chart_is_well_formed_and_inside_its_frame() -> None:
    figures = [
        curves(
            "<loss> & more", [ChartLine('"raw" <b>', [(i, 10 / (i + 1)) for i in range(50)], 1)], scale=Scale(log=True)
        ),
        roc("ROC", [ChartLine("student", [(0, 0), (0.01, 0.5), (1, 1)], 1)], lowest_fpr=1 / 600),
        histogram("cosines", [-1, 0, 0.5, 1], [("genuine", [0, 1, 3], 3), ("impostor", [0, 4, 0], 5)], mark=0.4),
    ]
    for figure in figures:
        root = ElementTree.fromstring(figure.svg)
        numbers = [float(n) for p in root.iter("polyline") for n in re.split("[ ,]", p.attrib["points"])]
        assert root.attrib["aria-label"] == figure.title
        assert all(0 <= n <= max(WIDTH, HEIGHT) for n in numbers)


def test_curves_fall_where_values_fall() -> None:
    points = _points(curves("t", [ChartLine("a", [(0, 3.0), (1, 2.0), (2, 1.0)], 1)]).svg)
    assert [a for a, _ in points] == sorted(a for a, _ in points)
    assert [b for _, b in points] == sorted(b for _, b in points)  # SVG counts downwards


def test_long_series_are_thinned_by_means_and_keep_their_end() -> None:
    figure = curves("t", [ChartLine("a", [(i, float(i % 2)) for i in range(10_000)], 1)])
    heights = [b for _, b in _points(figure.svg)]
    assert len(heights) <= 241
    assert max(heights[:-1]) - min(heights[:-1]) <= 2
    assert figure.legend == ((1, "a", "1"),)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_left_out(bad: float) -> None:
    figure = curves("t", [ChartLine("a", [(0, 1.0), (1, bad), (2, 3.0)], 1), ChartLine("gone", [(0, bad)], 2)])
    assert len(_points(figure.svg)) == 2
    assert [name for _, name, _ in figure.legend] == ["a"]
    assert curves("t", [ChartLine("gone", [(0, bad)], 2)]).note == "no finite values"


def test_a_single_value_is_a_dot() -> None:
    assert "<circle" in curves("t", [ChartLine("a", [(5, 1.0)], 1)]).svg


def test_roc_is_a_staircase() -> None:
    points = _points(roc("t", [ChartLine("a", [(0, 0), (0.01, 0.5), (1, 1)], 1)], 0.001).svg)
    assert all(a == c or b == d for (a, b), (c, d) in pairwise(points))


def test_histogram_shows_shares_over_the_used_range() -> None:
    edges = [-1, -0.5, 0, 0.5, 1]
    figure = histogram("t", edges, [("a", [0, 0, 1, 9], 3), ("b", [0, 0, 100, 0], 5)])
    low, high = (re.findall(r'd="([^"]*)"', figure.svg)[i] for i in (0, 1))
    assert low.count("L") == high.count("L") == 2 * 3 + 1  # bins 1 to 3: the first is the one before the first used
