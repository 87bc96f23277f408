"""``check`` alone: the table, the file, the exit status, for any ONNX file."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from distill.cli import main
from distill.types import Preprocessing
from reference.tiny_onnx import TinyOnnx
from teachers.onnx_network import METADATA_KEY, preprocessing_to_json

PROMISED = {"verdict", "reasons", "flops", "macs", "parameters", "bytes", "dtype", "embedding_dim", "protocol"}
BGR = Preprocessing("bgr", (1.0, 2.0, 3.0), (4.0, 4.0, 4.0))
BGR_CARD = (
    "{name: x, source: s, licence: l, preprocessing: {order: bgr, mean: [1.0, 2.0, 3.0], std: [4.0, 4.0, 4.0]}}\n"
)


def found(path: Path) -> dict:
    return json.loads(path.read_text())


def test_a_file_inside_the_limits_passes_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = TinyOnnx(width=512).write(tmp_path / "a.onnx")
    assert main(["check", f"model={model}"]) == 0
    printed = capsys.readouterr().out
    assert "verdict   PASS" in printed
    assert "preprocessing: default: RGB, mean 127.5, std 128" in printed
    written = found(tmp_path / "check.json")
    assert written.keys() >= PROMISED
    assert (written["verdict"], written["reasons"], written["protocol"]) == ("pass", [], "deepglint_light")
    assert written["macs"] == written["parameters"] == 512 * 3 * 7 * 7
    assert (written["dtype"], written["embedding_dim"], written["bytes"]) == ("float32", 512, model.stat().st_size)


def test_a_file_outside_of_them_fails_with_1_and_every_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = TinyOnnx(width=6).write(tmp_path / "a.onnx")
    tight = ["protocol.max_flops=1000", "protocol.max_file_bytes=1000"]
    assert main(["check", f"model={model}", "protocol=iqiyi_light", *tight]) == 1
    written = found(tmp_path / "check.json")
    assert (written["verdict"], written["protocol"]) == ("fail", "iqiyi_light")
    assert len(written["reasons"]) == 3
    printed = capsys.readouterr().out
    assert "verdict   FAIL" in printed
    assert all(reason.split(";")[0] in printed for reason in written["reasons"])


def test_what_cannot_be_counted_fails_with_1(tmp_path: Path):
    model = TinyOnnx(width=512, size_px="side").write(tmp_path / "a.onnx")
    assert main(["check", f"model={model}"]) == 1
    written = found(tmp_path / "check.json")
    assert written["flops"] is None
    assert written["reasons"]


def test_out_says_where(tmp_path: Path):
    model = TinyOnnx(width=512, batch=1).write(tmp_path / "a.onnx")
    assert main(["check", f"model={model}", f"out={tmp_path / 'new' / 'place'}"]) == 0
    assert found(tmp_path / "new" / "place" / "check.json")["verdict"] == "pass"
    assert not (tmp_path / "check.json").exists()


def test_metadata_speaks_before_the_card_and_the_card_before_the_default(tmp_path: Path, capsys):
    told = {METADATA_KEY: preprocessing_to_json(Preprocessing("rgb", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)))}
    model = TinyOnnx(width=512).write(tmp_path / "a.onnx")
    (tmp_path / "a.card.yaml").write_text(BGR_CARD)
    assert main(["check", f"model={model}"]) == 0
    assert found(tmp_path / "check.json")["preprocessing"] == "card: BGR, mean 1, 2, 3, std 4"
    TinyOnnx(width=512, metadata=told).write(model)
    assert main(["check", f"model={model}"]) == 0
    assert "preprocessing: metadata: RGB, mean 0, std 255" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"", b"no onnx at all"])
def test_what_is_no_onnx_file_is_one_line_and_2(tmp_path: Path, content: bytes | None, capsys):
    model = tmp_path / "a.onnx"
    if content is not None:
        model.write_bytes(content)
    assert main(["check", f"model={model}"]) == 2
    error = capsys.readouterr().err
    assert str(model) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "check.json").exists()


def test_an_unknown_protocol_names_the_nearest(tmp_path: Path, capsys):
    model = TinyOnnx().write(tmp_path / "a.onnx")
    assert main(["check", f"model={model}", "protocol=deepglint_lite"]) == 2
    assert "deepglint_light" in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_disk_loses_neither_the_table_nor_the_earlier_file(tmp_path: Path):
    model = TinyOnnx(width=512).write(tmp_path / "a.onnx")
    (tmp_path / "check.json").write_text("earlier")
    job = subprocess.run(
        [sys.executable, "-m", "distill", "check", f"model={model}"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    assert job.returncode == 2
    assert "verdict   PASS" in job.stdout
    assert "check.json" in job.stderr
    assert (tmp_path / "check.json").read_text() == "earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "check.json"]


def test_the_real_reference_teacher_of_fixed_batch_1(faces_root: Path, tmp_path: Path):
    assert main(["check", f"model={faces_root / 'reference_teacher.onnx'}", f"out={tmp_path}"]) == 1
    written = found(tmp_path / "check.json")
    assert (written["embedding_dim"], written["dtype"]) == (128, "float32")
    assert len(written["reasons"]) == 1, "its width of 128 is its only fault"
    assert written["preprocessing"] == "default: RGB, mean 127.5, std 128"
