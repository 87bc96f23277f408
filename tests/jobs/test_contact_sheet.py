from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from distill.cli import main


def test_rows_are_people_and_columns_pictures(tmp_path: Path) -> None:
    out = tmp_path / "sheets" / "faces.png"
    assert main(["contact_sheet", "people=2", "pictures=3", "side_px=64", f"out={out}"]) == 0
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape == (2 * 68, 3 * 68, 3)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("people=0", "people is 0; expected 1 to 2000"),
        ("pictures=3000", "pictures is 3000; expected 1 to 2000"),
        ("seed=-1", "seed is -1; expected 0 to 4294967295"),
        ("side_px=8", "side_px is 8; expected 56 to 1024"),
        ("out=faces.jpg", "out is 'faces.jpg'; expected a file that ends in .png"),
        ("people=1000", "people times pictures is 10000; expected at most 2000 faces"),
    ],
)
def test_bad_options_are_one_line(option: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contact_sheet", option]) == 2
    assert capsys.readouterr().err == f"error: {line}\n"
