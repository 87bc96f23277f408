from __future__ import annotations

import re
from pathlib import Path

import pytest

from distill.tracking import panels as night_panels
from distill.tracking.panels import SECTIONS, as_markdown, summary_of

DOCS = Path(__file__).parents[2] / "docs" / "tracking.md"

LOGGED = [
    "loss",
    "lr",
    "raw/margin",
    "weighted/margin",
    "throughput/images_per_s",
    "verification/accuracy",
    "verification/lfw_dev/auc",
    "verification/tpr_at_fpr_0.01",
    "similarity/genuine",
]


@pytest.mark.parametrize("name", LOGGED)
def test_each_logged_series_is_in_exactly_one_panel(name: str) -> None:
    panels = [panel for section in SECTIONS for panel in section.panels if re.fullmatch(panel.pattern, name)]
    assert len(panels) == 1


def test_a_series_that_nobody_listed_keeps_its_last_value() -> None:
    assert summary_of("something/else") is None
    assert summary_of("lr") is None


def test_losses_keep_their_smallest_and_scores_their_largest_value() -> None:
    assert summary_of("loss") == "min,last"
    assert summary_of("verification/lfw_dev/accuracy") == "max,last"


def test_the_documentation_shows_these_panels() -> None:
    assert as_markdown() in DOCS.read_text(encoding="utf-8")
    assert as_markdown(night_panels.NIGHT_SECTIONS) in DOCS.with_name("nights.md").read_text(encoding="utf-8")
