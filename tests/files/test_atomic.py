from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from torch import nn

import distill
from distill.errors import UserError
from distill.export.onnx_file import export_onnx
from distill.files.atomic import replacing, write_atomic, write_json
from reference.disk_steps import DiskSteps


@contextmanager
def full_disk(room_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond ``room_bytes``: the kernel cuts the write short."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_number_that_json_lacks_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_contents_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut there is the earlier file or this one, never an empty one."""
    steps = DiskSteps(monkeypatch)
    for data in (b"short", bytes(100_000), b""):
        write_atomic(tmp_path / "file", data)
        steps.require_name(tmp_path / "file", steps.require_contents_before_name(tmp_path / "file"))
        steps.all.clear()


def test_what_fails_half_way_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"earlier")
    with suppress(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_with_a_lock_overwrites_what_a_killed_one_left(tmp_path: Path) -> None:
    path, partial = tmp_path / "file", tmp_path / "file.partial"
    partial.write_bytes(b"torn, and longer")
    with replacing(path, partial) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_else_renames_what_he_wrote() -> None:
    """``distill.files`` is the one door; the registry's shelf moves whole folders away."""
    root = Path(distill.__file__).parents[1]
    found = [
        str(path.relative_to(root))
        for package in ("distill", "teachers")
        for path in sorted((root / package).rglob("*.py"))
        if re.search(r"\bos\.(replace|rename)\(|shutil\.move\(", path.read_text())
    ]
    assert found == ["distill/files/durable.py", "distill/registry/shelf.py"]


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"earlier")
    with full_disk(100_000), pytest.raises(UserError, match=r"cannot write .*file \(200000 bytes\)") as caught:
        write_atomic(path, bytes(200_000))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_during_the_export(tmp_path: Path) -> None:
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(3 * 14 * 14, 64)).eval()
    path = tmp_path / "student.onnx"
    path.write_bytes(b"earlier")
    with full_disk(100_000), pytest.raises(UserError, match=r"cannot write .*student\.onnx"):
        export_onnx(network, path, {}, opset=18)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        write_atomic(tmp_path / "file" / "student.onnx", b"x")
