from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import main
from nightly.example_nights import FAILED, write_service
from report.test_run_page import Page


def test_the_terminal_and_the_page_tell_the_same_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = write_service(tmp_path / "a service"), tmp_path / "pages" / "nights.html"
    assert main(["nights", f"root={root}", f"out={out}"]) == 0
    said = capsys.readouterr().out
    rows = [line for line in said.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 14
    assert max(map(len, rows)) <= 80
    assert "promoted" in rows[1]
    assert "failed" in rows[FAILED]
    assert "last night  done up to train" in said
    text = " ".join(Page(out.read_text(encoding="utf-8")).text.split())
    for row in rows[1:]:
        score = row.split("|")[4].strip()
        assert score == "-" or f"{score} %" in text
    assert "in service  v0009" in said
    assert "In servicev0009" in text


def test_links_lead_from_the_page_to_the_reports(tmp_path: Path) -> None:
    root, out = write_service(tmp_path / "a service #1"), tmp_path / "pages" / "nights.html"
    assert main(["nights", f"root='{root}'", f"out={out}"]) == 0
    links = Page(out.read_text(encoding="utf-8")).addresses
    assert links[0] == "../a%20service%20%231/nights/0013/report.html"
    assert len(links) == 12


@pytest.mark.parametrize("made", [True, False])
def test_a_service_without_nights(tmp_path: Path, made: bool, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = tmp_path / "nightly", tmp_path / "nights.html"
    if made:
        root.mkdir()
    assert main(["nights", f"root={root}", f"out={out}"]) == 0
    assert f"no nights under {root} yet" in capsys.readouterr().out
    assert "There are no nights here yet." in out.read_text(encoding="utf-8")
    assert root.exists() == made


def test_bad_options_are_one_line(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("")
    assert refused("nights", f"root={tmp_path / 'file'}") == (
        f"root is {tmp_path / 'file'}, a file; expected the folder of the nights, e.g. root=nightly"
    )
    assert refused("nights", "out=x.txt") == "out is 'x.txt'; expected a file that ends in .html"
