"""Which file ``model=`` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.errors import UserError
from distill.runs.model_file import model_file
from reference.tiny_onnx import TinyOnnx


def test_a_run_folder_means_its_student_wherever_latest_points_later(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        TinyOnnx().write(tmp_path / name / "student.onnx")
    latest = tmp_path / "latest"
    latest.symlink_to("one")
    found = model_file(str(latest))
    latest.unlink()
    latest.symlink_to("two")
    assert found == (tmp_path / "one" / "student.onnx").resolve()
    assert model_file("a.onnx") == Path("a.onnx")


def test_a_run_that_is_not_finished(tmp_path: Path):
    with pytest.raises(UserError, match=r"holds no student\.onnx: expected an ONNX file, or the folder of a finished"):
        model_file(str(tmp_path))
