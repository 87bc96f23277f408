from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from distill.nightly.pages.charts import MOST_LINES, NAMED, Part, Trial, bars, levels, trials
from distill.report.axis import Axis
from distill.report.charts import HEIGHT, WIDTH, Figure, Scale

PERCENT = Scale(percent=True)
FOUND = [
    Trial(1, 0.90, (0.88, 0.92), 0.90, "v0001"),
    Trial(2, 0.89, (0.88, 0.91), 0.90),
    Trial(4, 0.93, (0.91, 0.94), 0.93, "v0002"),
]


def elements(figure: Figure, tag: str, kind: str) -> list[dict[str, str]]:
    root = ElementTree.fromstring(figure.svg)
    return [e.attrib for e in root.iter(tag) if kind in e.attrib.get("class", "").split()]


def numbers(figure: Figure) -> list[float]:
    names = r'(?:x|y|x1|x2|y1|y2|cx|cy)="([-\d.]+)"'
    pairs = re.findall(r'points="([^"]*)"', figure.svg)
    return [float(n) for n in re.findall(names, figure.svg)] + [float(n) for p in pairs for n in re.split("[ ,]", p)]


@pytest.mark.parametrize("span", [(1, 1), (1, 4), (7, 96), (1, 365)])
def test_charts_are_well_formed_and_inside_their_frame(span: tuple[int, int]) -> None:
    nights = list(range(span[0], span[1] + 1))
    some = [Trial(n, 0.9 + n / 1e4, None, 0.9, f"v{n}" if n % 2 else None) for n in nights]
    part = Part('<new> & "old"', [None, *range(1, len(nights))], 1)
    for figure in (
        trials("<lfw>", "n", some, PERCENT, span),
        bars("b", "n", nights, [part, part], span),
        levels("l", "n", nights, [Part("a", [5.0] * len(nights), 2)], span),
    ):
        if figure.svg:
            assert ElementTree.fromstring(figure.svg).attrib["aria-label"] == figure.title
            assert all(0 <= n <= max(WIDTH, HEIGHT) for n in numbers(figure))


def test_a_dot_is_filled_where_its_student_was_promoted_and_its_interval_goes_through_it() -> None:
    figure = trials("lfw", "accuracy", FOUND, PERCENT, (1, 4))
    dots, rings = elements(figure, "circle", "dot"), elements(figure, "circle", "ring")
    assert (len(dots), len(rings)) == (2, 1)
    uprights = elements(figure, "line", "whisker")
    for dot, line in zip(sorted([*dots, *rings], key=lambda e: float(e["cx"])), uprights, strict=True):
        assert line["x1"] == dot["cx"]
        assert float(line["y2"]) < float(dot["cy"]) < float(line["y1"])


def test_after_a_rollback_the_stairs_end_at_what_is_in_service() -> None:
    before, after = (trials("lfw", "accuracy", FOUND, PERCENT, (1, 4), back) for back in (None, 0.90))
    ends = [elements(figure, "polyline", "line")[0]["points"].split()[-1].split(",")[1] for figure in (before, after)]
    first = elements(after, "circle", "dot")[0]["cy"]
    assert ends[1] == first != ends[0]
    assert after.legend[-1][-1] == "90 %"


def test_every_champion_change_is_marked_and_named() -> None:
    figure = trials("lfw", "accuracy", FOUND, PERCENT, (1, 4))
    dots = elements(figure, "circle", "dot")
    assert [mark["x1"] for mark in elements(figure, "line", "change")] == [dot["cx"] for dot in dots]
    assert [v for v in ("v0001", "v0002") if f">{v}<" in figure.svg] == ["v0001", "v0002"]
    assert not elements(figure, "line", "tick")
    many = [Trial(n, 0.9, None, 0.9, f"v{n}") for n in range(NAMED + 1)]
    figure = trials("lfw", "accuracy", many, PERCENT, (0, NAMED))
    assert len(elements(figure, "line", "change")) == NAMED + 1
    assert ">v3<" not in figure.svg
    more = [Trial(n, 0.9, None, 0.9, f"v{n}") for n in range(MOST_LINES + 1)]
    assert len(elements(trials("lfw", "accuracy", more, PERCENT, (0, MOST_LINES)), "line", "tick")) == MOST_LINES + 1


def test_the_champion_is_stairs_that_hold_until_the_next_change() -> None:
    figure = trials("lfw", "accuracy", FOUND, PERCENT, (1, 4))
    (line,) = elements(figure, "polyline", "c2")
    corners = [tuple(map(float, pair.split(","))) for pair in line["points"].split()]
    heights = [y for _, y in corners]
    last = elements(figure, "circle", "dot")[-1]
    before, after = [y for x, y in corners if x < float(last["cx"])], [y for x, y in corners if x > float(last["cx"])]
    assert len(set(before)) == 1
    assert set(after) == {float(last["cy"])}
    assert min(heights) == float(last["cy"])  # SVG counts downwards
    assert all(a == c or b == d for (a, b), (c, d) in pairwise(corners))
    assert [name for _, name, _ in figure.legend] == ["trained that night", "in service"]


def test_without_a_champion_there_are_dots_alone() -> None:
    figure = trials("lfw", "accuracy", [Trial(1, 0.5), Trial(2, 0.6)], PERCENT, (1, 2))
    assert not elements(figure, "polyline", "line")
    assert len(elements(figure, "circle", "ring")) == 2
    assert [name for _, name, _ in figure.legend] == ["trained that night"]


def test_parts_stand_on_each_other_and_fill_the_whole() -> None:
    figure = bars("time", "s", [1, 2], [Part("a", [1.0, 2.0], 1), Part("b", [3.0, None], 2)], (1, 2))
    (a1, a2), (b1,) = elements(figure, "rect", "c1"), elements(figure, "rect", "c2")
    assert float(b1["y"]) + float(b1["height"]) == pytest.approx(float(a1["y"]), abs=0.11)
    assert float(b1["height"]) == pytest.approx(3 * float(a1["height"]), abs=0.5)
    assert float(a2["height"]) == pytest.approx(2 * float(a1["height"]), abs=0.5)
    assert a1["x"] < a2["x"]


def test_nothing_to_draw_is_said() -> None:
    assert bars("b", "n", [1, 2], [Part("a", [None, 0], 1)], (1, 2)).note == "nothing"
    assert levels("b", "n", [1], [Part("a", [None], 1)], (1, 1)).note == "nothing"


@pytest.mark.parametrize("span", [(1, 1), (1, 2), (1, 3), (1, 5), (2, 14), (31, 120), (1, 365)])
def test_nights_are_whole_numbers(span: tuple[int, int]) -> None:
    ticks = [value for value, _ in Axis(span[0] - 0.5, span[1] + 0.5, whole=True).ticks()]
    assert 1 <= len(ticks) <= 6
    assert all(value == round(value) and span[0] <= value <= span[1] for value in ticks)
