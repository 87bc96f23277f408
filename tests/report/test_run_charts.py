from __future__ import annotations

import numpy as np

from distill.metrics.verification import verify
from distill.report.run_charts import COLOURS, training_figures, verification_figures
from distill.report.scores import VerificationScores

POINTS = [(1, 0.5), (2, 0.7)]


def _scores() -> VerificationScores:
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(2, 40, 8))
    same = np.arange(40) % 2 == 0
    return VerificationScores.from_json(
        verify(left, np.where(same[:, None], left + 0.1 * right, right), same).to_json()
    )


def test_every_series_is_shown_once() -> None:
    names = ["loss", "lr", "raw/a", "weighted/a", "throughput/images_per_s", "verification/accuracy", "mystery/x"]
    figures = training_figures({name: POINTS for name in names}, None)
    shown = [name for figure in figures for _, name, _ in figure.legend]
    assert sorted(shown) == sorted(name.partition("/")[2] or name for name in names)
    assert figures[0].title == "Accuracy during training"
    assert figures[-1].title == "Other series"


def test_more_terms_than_colours_go_on_in_another_chart() -> None:
    figures = training_figures({f"raw/{i}": POINTS for i in range(COLOURS + 1)}, None)
    assert [len(figure.legend) for figure in figures] == [COLOURS, 1]


def test_the_teacher_is_a_broken_line_beside_the_accuracy() -> None:
    series = {"verification/accuracy": POINTS, "loss": POINTS}
    with_teacher, without = training_figures(series, 0.99), training_figures(series, None)
    assert with_teacher[0].legend[-1] == (2, "teacher", "99 %")
    assert with_teacher[0].svg.count("dashed") == 1
    assert "dashed" not in without[0].svg
    assert with_teacher[1] == without[1]


def test_roc_and_a_histogram_for_each_network() -> None:
    scores = _scores()
    assert len(verification_figures(scores, None)) == 2
    roc, student, teacher = verification_figures(scores, scores)
    assert [name for _, name, _ in roc.legend] == ["student", "teacher"]
    assert [name for _, name, _ in student.legend] == [name for _, name, _ in teacher.legend] == ["genuine", "impostor"]
