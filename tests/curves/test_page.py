"""The page of curves: what stands on it, what is drawn where, and what is not shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from distill.curves.page import CurvesPage, HardPair, ModelCurves, SetCurves, det_of, roc_of, small, write_curves
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.operating import decades, fpr_grid, operating_points
from distill.metrics.roc import similarity_histogram
from distill.report.run_page import ExamplePair
from report.test_run_page import PNG, Page


def judged(name: str, seed: int, apart: float = 2.0) -> ModelCurves:
    """A model on 300 pairs."""
    rng = np.random.default_rng(seed)
    same = np.arange(300) % 3 == 0
    scores = np.tanh((rng.normal(size=300) + apart * same) / 4)
    points = operating_points(scores, same, sorted({*fpr_grid(200), *decades(200)})[::-1], Bootstrap(resamples=50))
    band = [point for point in points if point.tpr is not None]
    return ModelCurves(
        name,
        curve=[(point.fpr, point.tpr) for point in reversed(band) if point.tpr is not None],
        points=[point for point in points if point.fpr in decades(200)],
        band=band,
        impostor=200,
        genuine=100,
        histogram=similarity_histogram(scores, same),
        hard=[HardPair("pair 17", 0.7311, False), HardPair("pair 3", 0.04, True)],
    )


@pytest.fixture(scope="module")
def page() -> CurvesPage:
    models = [judged("a/student.onnx", 0), judged("b/student.onnx", 1, apart=4)]
    return CurvesPage(
        "a and b", "2026-11-25", "make curves x.api_key=PLANTED", [SetCurves("lfw", models, "pairs", 0.95)], False
    )


def write(tmp_path: Path, page: CurvesPage) -> str:
    write_curves(tmp_path / "curves.html", page)
    return (tmp_path / "curves.html").read_text(encoding="utf-8")


def heights(figure_svg: str, tag: str) -> list[list[float]]:
    """The y coordinates of each element of a kind."""
    found = ElementTree.fromstring(figure_svg).iter(tag)
    return [[float(pair.split(",")[1]) for pair in line.attrib["points"].split()] for line in found]


def test_everything_is_on_the_page(page: CurvesPage, tmp_path: Path):
    text = write(tmp_path, page)
    shown = Page(text)
    for words in ("ROC", "DET", "lfw", "a/student.onnx", "b/student.onnx", "100 genuine pairs, 200 impostor pairs"):
        assert words in " ".join(shown.text.split())
    for words in ("95 %", "from resampling pairs", "200 impostor pairs; at least 1000 needed", "(hidden)"):
        assert words in " ".join(shown.text.split())
    assert shown.tags.count("svg") == 2 + 2
    assert "PLANTED" not in text


def test_nothing_is_fetched_and_nothing_runs(page: CurvesPage, tmp_path: Path):
    text = write(tmp_path, page)
    assert not Page(text).addresses
    assert not {"script", "link", "iframe", "object", "img"} & set(Page(text).tags)
    assert not any(word in text for word in ("http:", "https:", "url(", "@import"))


def test_names_from_outside_are_escaped(page: CurvesPage, tmp_path: Path):
    evil = "<script>alert(1)</script>\"'"
    models = [replace(judged(evil, 0), note=evil, hard=[HardPair(evil, 0.5, True)])]
    text = write(tmp_path, CurvesPage(evil, evil, evil, [SetCurves(evil, models, evil, 0.9)], False))
    assert "script" not in Page(text).tags
    assert Page(text).text.count("alert(1)") > 8


def test_faces_are_shown_only_where_they_are_given(page: CurvesPage, tmp_path: Path):
    hidden = Page(write(tmp_path, page))
    assert "Faces belong to people, so none is shown here" in hidden.text
    assert "0.731 pair 17" in " ".join(hidden.text.split())
    hard = [HardPair("pair 17", 0.7311, False, ExamplePair(PNG, PNG, 0.7311, False))]
    models = [replace(model, hard=hard) for model in page.sets[0].models]
    text = write(tmp_path, replace(page, faces=True, sets=[replace(page.sets[0], models=models)]))
    assert len(Page(text).addresses) == 2 * 2
    assert "Faces belong to people" not in text
    assert "least alike" not in text


def test_a_row_of_the_threshold_table(page: CurvesPage):
    model = page.sets[0].models[0]
    first, second, last = model.points
    assert first.threshold is not None
    row = model.table[0]
    assert row[0] == "0.1"
    assert first.threshold <= float(row[1]) < first.threshold + 1e-6
    assert (row[2], row[3]) == ("0.1", "20")
    assert first.tpr is not None
    assert row[4] == f"{100 * first.tpr:.2f} %"
    assert row[5].count("to") == 1
    assert (second.fpr, last.fpr) == (0.01, 0.001)
    assert model.table[2] == ("0.001", "200 impostor pairs; at least 1000 needed")
    assert model.strictest == second


def test_models_are_compared_at_every_fpr_that_one_has(page: CurvesPage):
    one, two = page.sets[0].models
    few = replace(page.sets[0], models=[one, replace(two, points=two.points[:1])])
    assert [text for _, text in few.fprs] == ["0.1", "0.01"]
    assert few.models[1].rate(0.01) == ("-", "")
    assert few.models[0].rate(0.01)[0].endswith(" %")


def test_curves_lie_within_their_bands_and_the_better_one_above(page: CurvesPage):
    models = page.sets[0].models
    for figure, better in ((roc_of(models), min), (det_of(models), max)):
        curves, bands = heights(figure.svg, "polyline"), heights(figure.svg, "polygon")
        for curve, band in zip(curves, bands, strict=True):
            upper, lower = band[: len(curve)], band[len(curve) :][::-1]
            assert all(up - 0.11 <= at <= low + 0.11 for up, at, low in zip(upper, curve, lower, strict=True))
        mean = [sum(curve) / len(curve) for curve in curves]
        assert better(mean) == mean[1]  # SVG counts downwards: the better one is higher in ROC and lower in DET


def test_a_perfect_model_can_be_drawn():
    perfect = judged("p", 0, apart=90)
    assert perfect.curve[0][1] == 1
    for figure in (roc_of([perfect]), det_of([perfect])):
        assert all(0 <= at <= 210 for line in heights(figure.svg, "polyline") for at in line)


def test_points_alone_are_dots_without_a_band():
    points = [point for point in judged("p", 0).points if point.tpr is not None]
    bare = replace(
        judged("p", 0), curve=[(p.fpr, p.tpr) for p in points[::-1] if p.tpr is not None], band=[], dots=True
    )
    svg = roc_of([bare]).svg
    assert svg.count("<circle") == len(points)
    assert "polygon" not in svg


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1e-5, "1e-5"),
        (1 / 600, "0.00167"),
        (0, "0"),
        (2.5e-11, "2.5e-11"),
        (1e-4, "1e-4"),
        (9.887e-4, "9.89e-4"),
    ],
)
def test_rates_are_short(value: float, text: str):
    assert small(value) == text
