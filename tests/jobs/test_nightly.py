"""The nightly job on a tiny service: real drops, a real teacher, real students, and a night that is killed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import main
from distill.files.network_file import network_sha256
from distill.nightly.lock import held
from distill.nightly.records import STAGES, record_path
from distill.registry.registry import Registry
from reference.small_data import picture

Nightly = Callable[..., int]


class Killed(BaseException):
    """As a signal ends the process: nothing catches it."""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    return tmp_path / "nightly"


@pytest.fixture
def drops(tmp_path: Path) -> Path:
    folder = tmp_path / "drops"
    drop(folder, "2026-01-01", {person: 5 for person in range(6)})
    return folder


def drop(drops: Path, name: str, people: dict[int, int], first: int = 0) -> None:
    """Pictures ``first``, ``first + 1``, ... of each person."""
    for person, pictures in people.items():
        folder = drops / name / f"person-{person}"
        folder.mkdir(parents=True)
        for number in range(first, first + pictures):
            (folder / f"{number}.jpg").write_bytes(picture(person, number))


@pytest.fixture
def nightly(root: Path, teacher: Path, drops: Path, service: Path) -> Nightly:
    """Runs a night with a small student of a few steps; the margins are those that two dozen pairs can tell."""
    margins = [f"judge.margin.{figure}=0.99" for figure in ("accuracy", "auc", "tpr_at_fpr")]
    options = [
        *(f"student.network.{option}" for option in ("widths=[8,8,8,8]", "units=[1,1,1]", "last_channels=16")),
        "teacher=onnx",
        f"teacher.weights={teacher}",
        f"drops={drops}",
        f"benchmarks={root}",
        f"root={service}",
        "trainer=smoke",
        "trainer@continued=smoke",
        "tracking=none",
        "judge.floor=0.01",
        "judge.resamples=200",
        *margins,
    ]
    return lambda *more: main(["nightly", *options, *more])


def result(service: Path, night: int, stage: str) -> dict:
    return json.loads(record_path(service / "nights" / f"{night:04d}", stage).read_text())["result"]


@pytest.mark.slow
def test_from_the_first_night_to_a_rejected_one(nightly: Nightly, service: Path, drops: Path, capsys):
    registry = Registry(service / "registry")
    assert nightly() == 10
    printed = capsys.readouterr().out
    assert "verdict   PROMOTED: v0001 is in service, nothing was before" in printed
    assert all(record_path(service / "nights/0001", stage).exists() for stage in STAGES)
    champion = registry.champion()
    assert champion is not None
    assert champion.verified().facts["images"] == 30
    assert champion.facts["network_sha256"] == network_sha256(champion.file("student.onnx"))
    assert result(service, 1, "verify")["networks"] == {"challenger": champion.facts["network_sha256"]}
    page = (service / "nights/0001/report.html").read_text()
    assert "promoted" in page
    assert "http" not in page.replace("http://www.w3.org", "")

    before = {path: path.read_bytes() for path in service.rglob("*") if path.is_file()}
    assert nightly() == 0
    assert capsys.readouterr().out == "nothing to do: nothing has changed since night 1\n"
    assert {path: path.read_bytes() for path in service.rglob("*") if path.is_file()} == before

    drop(drops, "2026-01-02", {0: 2, 7: 4}, first=5)
    assert nightly() == 10
    assert result(service, 2, "freeze")["new_images"] == 6
    assert result(service, 2, "signals")["images_new"] == 6
    assert result(service, 2, "train")["start"] == "champion"
    assert result(service, 2, "train")["replayed"] == 30
    promoted = {"format": 1, "outcome": "promoted", "version": "v0002", "before": "v0001", "reason": ""}
    assert result(service, 2, "promote") == promoted

    drop(drops, "2026-01-03", {8: 3})
    assert nightly("judge.floor=0.999") == 20
    assert "v0002 stays in service" in capsys.readouterr().out
    serving = registry.champion()
    assert serving is not None
    assert serving.verified().name == "v0002"
    assert nightly("judge.floor=0.999") == 0, "a rejected night is over as well"


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["train", "promote"])
def test_a_night_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(
    nightly: Nightly, service: Path, monkeypatch: pytest.MonkeyPatch, stage: str
):
    """At the worst moment: the work of the stage is done, its record is not."""
    from distill.nightly import pipeline as stages

    write = stages.write_record

    def kill(night: Path, record) -> None:
        if record.stage == stage:
            raise Killed
        write(night, record)

    assert nightly() == 10
    undisturbed = Registry(service / "registry").champion()
    service.rename(service.with_name("undisturbed"))
    monkeypatch.setattr(stages, "write_record", kill)
    with pytest.raises(Killed):
        nightly()
    monkeypatch.setattr(stages, "write_record", write)
    assert nightly() == 10
    registry = Registry(service / "registry")
    assert undisturbed is not None
    assert [version.files["student.onnx"] for version in registry.versions()] == [undisturbed.files["student.onnx"]]
    champion = registry.champion()
    assert champion is not None
    assert champion.verified().name == "v0001"


def test_a_night_that_finds_another_running_leaves_at_once(nightly: Nightly, service: Path, capsys):
    with held(service):
        assert nightly() == 75
    told = capsys.readouterr().out
    assert told.startswith("another night is running: process ")
    assert told.count("\n") == 1


@pytest.mark.slow
def test_a_mistake_is_noted_beside_the_records_and_mended_by_the_next_start(
    nightly: Nightly, service: Path, drops: Path, capsys
):
    drop(drops, "2026-01-02", {9: 1})
    assert nightly("trainer.batch_size=0") == 2
    noted = json.loads((service / "nights/0001/records/failed.json").read_text())
    assert noted["stage"] == "train"
    assert "trainer.batch_size is 0" in noted["error"]
    assert "Traceback" not in capsys.readouterr().err
    assert nightly() == 10
    assert not (service / "nights/0001/records/failed.json").exists()


@pytest.mark.slow
def test_a_damaged_champion_is_told_even_where_nothing_is_new(nightly: Nightly, service: Path, drops: Path, capsys):
    assert nightly() == 10
    drop(drops, "2026-01-02", {1: 3}, first=5)
    assert nightly() == 10
    model = service / "registry/champion/student.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    capsys.readouterr()
    assert nightly() == 2
    assert f"put that file back, or the version before into service: make rollback root={service}" in (
        capsys.readouterr().err
    )
    assert main(["rollback", f"root={service}"]) == 0
    assert nightly() == 0


@pytest.mark.slow
def test_a_full_disk_is_a_failure_that_the_scheduler_tries_again(
    nightly: Nightly, service: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    with monkeypatch.context() as patched:
        patched.setattr("os.replace", full_disk)
        assert nightly() == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("failed: night 1, stage freeze: cannot write ")
    assert "No space left on device" in told
    assert nightly() == 10


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_bug_is_one_line_and_its_trace_is_beside_the_records(
    nightly: Nightly, service: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    def broken(path: Path, content: bytes) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("distill.nightly.stages.data.write_atomic", broken)
    assert nightly() == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("failed: night 1, stage freeze: ZeroDivisionError: a bug (")
    noted = json.loads((service / "nights/0001/records/failed.json").read_text())
    assert noted["error"] == "a bug"
    assert "in broken" in noted["trace"]


@pytest.mark.slow
def test_a_drop_that_comes_while_a_night_is_killed_waits_for_the_next_one(
    nightly: Nightly, service: Path, drops: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was begun is finished first, and what has come since is a night of its own in the same start."""

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("distill.nightly.stages.plan.signals_stage", kill)
        with pytest.raises(Killed):
            nightly()
    drop(drops, "2026-01-02", {7: 2})
    assert nightly() == 10
    assert result(service, 1, "freeze")["images"] == 30
    assert result(service, 2, "freeze")["images"] == 32


@pytest.mark.parametrize("option", ["drops", "benchmarks"])
def test_a_folder_that_is_not_there_is_named_with_its_option(nightly: Nightly, tmp_path: Path, capsys, option: str):
    nowhere = tmp_path / "nowhere"
    both = ("benchmarks=null",) if option == "drops" else ()
    assert nightly(f"{option}={nowhere}", *both) == 2
    told = f"error: {nowhere}: no such folder; expected one that is there: {option}=DIR\n"
    assert capsys.readouterr().err == told


def test_without_pictures_there_is_nothing_to_do(nightly: Nightly, drops: Path, service: Path, capsys):
    for path in sorted(drops.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (drops / "empty").mkdir()
    assert nightly() == 0
    assert capsys.readouterr().out.startswith("nothing to do: no pictures in ")
    assert not (service / "nights").exists()
