from __future__ import annotations

import base64
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from distill.errors import UserError
from distill.export.parity import Parity
from distill.format import quantity
from distill.metrics.verification import verify
from distill.report.run_page import CostRow, ExamplePair, RunReport, write_report
from distill.report.scores import VerificationScores

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")


class Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def _scores(noise: float) -> VerificationScores:
    rng = np.random.default_rng(0)
    same = np.arange(200) % 2 == 0
    left, other = rng.normal(size=(2, 200, 16))
    right = np.where(same[:, None], left + noise * rng.normal(size=left.shape), other)
    return VerificationScores.from_json(verify(left, right, same).to_json())


@pytest.fixture(scope="module")
def report() -> RunReport:
    return RunReport(
        title="vargnet from r152",
        run="runs/one",
        finished="2026-11-24",
        passed=True,
        reasons=[],
        command="make distill teacher=r152 tracking.api_key=PLANTED",
        student=_scores(1.5),
        teacher=_scores(0.3),
        teacher_name="r152",
        cost=[CostRow("Counter-FLOPs", 995_510_728, 10**9, "FLOPs"), CostRow("MACs", 498_910_848, None, "MACs")],
        protocol="deepglint_light",
        parity=Parity(1e-5, 1e-6, 1e-9, 16, (1, 2, 7)),
        series={"loss": [(1, 2.0), (2, 1.0)], "lr": [(1, 0.1), (2, 0.05)]},
        configuration={"student": {"name": "vargnet"}, "tracking": {"api_key": "PLANTED", "mode": "offline"}},
        environment={"torch": "2.13.0", "WANDB_API_KEY": "PLANTED"},
        look_next=["metrics.json lies beside this file"],
    )


def _page(tmp_path: Path, report: RunReport) -> str:
    write_report(tmp_path / "report.html", report)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_all_sections_and_figures_are_there(report: RunReport, tmp_path: Path) -> None:
    page = Page(_page(tmp_path, report))
    for words in ("Verification", "Cost against the limits", "Training", "Reproduce", "Where to look next", "Pass"):
        assert words in page.text
    for words in ("995.5 MFLOPs", "99.6 % of 1 GFLOPs", "498.9 MMACs", "make distill teacher=r152", "student.name"):
        assert words in page.text
    assert report.student is not None
    assert report.student.accuracy.text in page.text
    assert page.tags.count("svg") == 3 + 2


def test_nothing_is_fetched_from_anywhere(report: RunReport, tmp_path: Path) -> None:
    text = _page(tmp_path, replace(report, pairs=[ExamplePair(PNG, PNG, 0.3, True)]))
    page = Page(text)
    assert len(page.addresses) == 2
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not any(word in text for word in ("http:", "https:", "url(", "@import"))


def test_secrets_do_not_appear(report: RunReport, tmp_path: Path) -> None:
    text = _page(tmp_path, report)
    assert "PLANTED" not in text
    assert text.count("(hidden)") == 3


def test_text_from_outside_is_escaped(report: RunReport, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'"
    text = _page(
        tmp_path,
        replace(
            report,
            title=evil, run=evil, reasons=[evil], command=evil, protocol=evil, look_next=[evil], pairs_note=evil,
            cost=[CostRow(evil, 1, 2, evil)], series={f"raw/{evil}": [(1, 1.0), (2, 2.0)], evil: [(1, 1.0)]},
            configuration={evil: {evil: evil}}, environment={evil: evil},
        ),
    )  # fmt: skip
    page = Page(text)
    assert "script" not in page.tags
    assert page.text.count("alert(1)") > 10


def test_a_failed_run_gives_its_reasons(report: RunReport, tmp_path: Path) -> None:
    failed = replace(report, passed=False, reasons=["20,793,168 bytes are too many"], cost=[CostRow("Size", 3, 2, "B")])
    text = _page(tmp_path, failed)
    assert "20,793,168 bytes are too many" in text
    assert "does not fit deepglint_light" in text
    assert 'class="bar over"' in text


def test_a_teacher_that_was_not_tried(report: RunReport, tmp_path: Path) -> None:
    notice = "The teacher was not tried"
    assert notice not in _page(tmp_path, report)
    assert notice in _page(tmp_path, replace(report, teacher_checked=False))
    assert notice not in _page(tmp_path, replace(report, teacher_checked=False, teacher=None, teacher_name=None))


def test_pictures_only_where_they_are_given(report: RunReport, tmp_path: Path) -> None:
    assert "data.pictures=false" in _page(tmp_path, report)
    assert "<img" not in _page(tmp_path, report)
    with_pairs = _page(tmp_path, replace(report, pairs=[ExamplePair(PNG, PNG, 0.314, False)]))
    assert "two persons, cosine 0.31" in with_pairs
    assert "data.pictures=false" not in with_pairs


def test_a_run_with_next_to_nothing(report: RunReport, tmp_path: Path) -> None:
    bare = RunReport("t", "r", "now", False, [], "make distill")
    assert "no verification pairs" in _page(tmp_path, bare)
    alone = _page(tmp_path, replace(report, teacher=None))
    assert "<th>teacher</th>" not in alone


def test_the_gap_is_student_less_teacher(report: RunReport) -> None:
    assert report.student is not None
    assert report.teacher is not None
    mine, theirs = report.student.accuracy.value, report.teacher.accuracy.value
    assert mine is not None
    assert theirs is not None
    assert mine < theirs
    assert float(report.gaps[0][2].replace("\N{MINUS SIGN}", "-")) == pytest.approx(100 * (mine - theirs), abs=0.005)


def test_bars_end_before_or_behind_the_limit() -> None:
    fits, over = CostRow("a", 90, 100), CostRow("b", 120, 100)
    assert fits.bar_percent < fits.mark_percent <= 100
    assert over.mark_percent < over.bar_percent <= 100
    assert (fits.over, over.over, CostRow("c", 9, None).over) == (False, True, False)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(19_379_785, "B", "19.38 MB = 18.48 MiB"), (12_320_817_152, "MACs", "12.32 GMACs"), (512, "", "512")],
)
def test_quantities(value: int, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_an_unwritable_place(report: RunReport, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        write_report(tmp_path / "file" / "report.html", report)
