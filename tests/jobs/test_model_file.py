"""Which file ``model=`` means, and the hash that changes with all that it computes with."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from distill.jobs.model_file import model_file, model_sha256
from distill.types import UserError
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


def test_the_hash_covers_weights_in_other_files(tmp_path: Path):
    path = TinyOnnx().write(tmp_path / "a.onnx")
    plain = model_sha256(path)
    assert plain == model_sha256(Path(shutil.copy(path, tmp_path / "b.onnx")))
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="a.data", size_threshold=0)
    outside = model_sha256(path)
    assert outside != plain
    content = bytearray((tmp_path / "a.data").read_bytes())
    content[0] ^= 1
    (tmp_path / "a.data").write_bytes(content)
    assert model_sha256(path) != outside
