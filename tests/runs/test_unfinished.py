"""A run that was begun and stopped is named, with the difference, before a command that is nearly its own begins."""

from __future__ import annotations

import fcntl
import logging
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from distill.cli import main
from distill.config.compose import load
from distill.runs.folder import RunFolder, open_run
from distill.runs.unfinished import report_unfinished, report_unfinished_signals
from distill.signals.manifest import MANIFEST, SignalManifest
from distill.tracking.series import Recorder

Teach = Callable[..., list[str]]
GIVEN = ["data.root=/x", "trainer=smoke"]


def begun(root: Path, name: str, *options: str) -> RunFolder:
    """A run that has a checkpoint and no result."""
    with open_run(root, name, False, load("distill", [*GIVEN, *options])) as folder:
        folder.checkpoint.parent.mkdir(exist_ok=True)
        folder.checkpoint.write_bytes(b"")
    return folder


def told(caplog: pytest.LogCaptureFixture, root: Path, *options: str, name: str = "new") -> list[str]:
    caplog.clear()
    report_unfinished(root, name, load("distill", [*GIVEN, *options]))
    return caplog.messages


@pytest.mark.parametrize(
    ("theirs", "ours", "difference", "typed"),
    [
        ("trainer.batch_size=16", "seed=1", "trainer.batch_size is 16 there and 8 here", "trainer.batch_size=16"),
        ("seed=2", "trainer.workers=3", "seed is 2 there and 1 here", "seed=2"),
        ("data.pairs='my b.bin'", "seed=1", "data.pairs is 'my b.bin' there and null here", "data.pairs='my b.bin'"),
        ("teacher.card=null", "teacher.card=c", "teacher.card is null there and c here", "teacher.card=null"),
        ("trainer.channels_last=true", "seed=1", "is true there and null here", "trainer.channels_last=true"),
        ("data.transfer=[a,b]", "seed=1", "data.transfer is [a,b] there and [] here", "data.transfer=[a,b]"),
        ("seed=1", "+data.augment.x=1", "data.augment.x is nothing there and 1 here", "~data.augment.x"),
    ],
)
def test_it_is_named_with_the_difference_and_what_continues_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, theirs: str, ours: str, difference: str, typed: str
):
    if ours.startswith("+"):
        begun(tmp_path, "old", theirs)
        conf = load("distill", [*GIVEN])
        conf.data.augment["x"] = 1
        report_unfinished(tmp_path, "new", conf)
    else:
        begun(tmp_path, "old", theirs)
        told(caplog, tmp_path, ours)
    (line,) = caplog.messages
    assert line.startswith(f"unfinished {tmp_path / 'old'}, last checkpoint 20")
    assert difference in line
    added = line.split("to continue it, add ")[1].split(" to this command")[0]
    assert shlex.split(added) == ["run.name=old", typed]


def test_what_it_says_to_type_continues_it(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = begun(tmp_path, "old", "seed=2", "trainer.batch_size=16")
    (line,) = told(caplog, tmp_path)
    added = shlex.split(line.split("to continue it, add ")[1].split(" to this command")[0])
    conf = load("distill", [*GIVEN, *added])
    with open_run(tmp_path, conf.run.name, False, conf) as again:
        assert again.path == folder.path


def test_three_differences_are_few_and_four_are_many(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    begun(tmp_path, "old")
    few = ["seed=2", "trainer.batch_size=16", "student.init=x"]
    assert len(told(caplog, tmp_path, *few)) == 1
    assert told(caplog, tmp_path, *few, "export.opset=17") == []


@pytest.mark.slow
def test_one_with_the_same_options_is_named_too(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    begun(tmp_path, "old", "trainer.workers=1")
    assert "its options are the same" in told(caplog, tmp_path)[0]


@pytest.mark.slow
def test_others_are_not_named(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    begun(tmp_path, "own")
    assert told(caplog, tmp_path, name="own") == []
    finished = begun(tmp_path, "own", "trainer.workers=1")
    finished.finish({})
    finished.point_latest()
    begun(tmp_path, "no checkpoint").checkpoint.unlink()
    (begun(tmp_path, "damaged").path / "config.yaml").write_text("{")
    (begun(tmp_path, "another thing").path / "config.yaml").write_text("- 1")
    held = begun(tmp_path, "in work")
    with held.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert told(caplog, tmp_path) == []
    assert len(told(caplog, tmp_path)) == 1


class Killed(Exception):
    """What stops the run of a test."""


@pytest.mark.slow
def test_a_killed_teaching_goes_on_with_other_workers_and_is_named_with_another_seed(
    teach: Teach, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    command = [one for one in teach("trainer.checkpoint_every_steps=1", "trainer.images=64") if "run.name" not in one]

    def killed(self: Recorder, step: int, values: Mapping[str, float]) -> None:
        if step == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "__call__", killed)
        with pytest.raises(Killed):
            main([*command, "trainer.workers=0"])
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.name.startswith("teach-"))
    assert not (folder / "metrics.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "__call__", killed)
        with pytest.raises(Killed):
            main([*command, "seed=2", "trainer.workers=0"])
    assert [line for line in caplog.messages if line.startswith(f"unfinished {folder}") and "seed is 1 there" in line]
    caplog.clear()
    assert main([*command, "trainer.workers=1"]) == 0
    assert not [line for line in caplog.messages if line.startswith("unfinished")]
    assert (folder / "metrics.json").exists()


def test_unfinished_signals_of_other_views_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    def manifest(kind: str, teacher: str = "t") -> SignalManifest:
        data = {"images": 3, "classes": 2, "fingerprint": "f"}
        return SignalManifest(data, {"name": teacher}, {"kind": kind, "columns": 2}, {"embedding": [4]}, 2, {})

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / MANIFEST).write_text(manifest("augmented").to_json())
    caplog.set_level(logging.WARNING)
    report_unfinished_signals(tmp_path / "new", manifest("mirror", "other"))
    report_unfinished_signals(tmp_path / "new", manifest("augmented"))
    report_unfinished_signals(tmp_path / "old", manifest("mirror"))
    assert not caplog.messages
    report_unfinished_signals(tmp_path / "new", manifest("mirror"))
    (line,) = caplog.messages
    assert line.startswith(f"unfinished {tmp_path / 'old'}, 2 of 2 shards missing: ")
    assert 'views.kind is "augmented" there and "mirror" here' in line
