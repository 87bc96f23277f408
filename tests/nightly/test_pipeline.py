"""The engine on stages that write small files: what is done, what is not done again, and what an interruption costs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.nightly.pipeline import Done, Records, Stage, StageFailed, perform
from distill.nightly.records import STAGES, read_record, read_records, record_path, write_record
from distill.nightly.results import FreezeResult


class Killed(BaseException):
    """As a signal would end the process: nothing catches it."""


class Service:
    """Stages whose file is a pure function of all that went in before; notes what was done."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.worked, self.said = folder, list[str](), list[str]()
        self.given: dict[str, str] = {stage: "1" for stage in STAGES}
        self.disturb: Callable[[str, str], None] = lambda stage, moment: None

    def _stage(self, name: str) -> Stage:
        def work(done: Records) -> Done:
            self.worked.append(name)
            self.disturb(name, "begun")
            path = self.folder / f"{name}.txt"
            before = "".join((self.folder / f"{other}.txt").read_text() for other in done)
            path.write_text(f"{name} {self.given[name]} {len(before)}\n{before}")
            self.disturb(name, "written")
            return Done(FreezeResult(len(before)), [path])

        return Stage(name, lambda done: {"given": self.given[name]}, work)

    def run(self) -> dict:
        self.worked, self.said = [], []
        return perform(self.folder, [self._stage(name) for name in STAGES], self.said.append)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.folder.glob("*.txt"))}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_every_stage_is_done_once_in_order(service: Service):
    records = service.run()
    assert service.worked == list(records) == list(STAGES)
    assert service.said[0] == "stage  1 of 11  freeze"
    assert read_records(service.folder) == records
    assert service.run() == records
    assert service.worked == service.said == []


@pytest.mark.parametrize("stage", STAGES)
def test_another_input_means_this_stage_and_all_later_ones(service: Service, stage: str):
    service.run()
    service.given[stage] = "2"
    service.run()
    assert service.worked == list(STAGES[STAGES.index(stage) :])
    assert "again: another given" in service.said[0]


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_another_record_of_a_stage_means_all_later_ones(service: Service, stage: str):
    """Its inputs and files may be the same, as where another process did it meanwhile: what came of it is not."""
    record = service.run()[stage]
    write_record(service.folder, replace(record, result={**record.result, "another": 1}))
    service.run()
    assert service.worked == list(STAGES[STAGES.index(stage) + 1 :])


@pytest.mark.parametrize("stage", STAGES)
def test_a_lost_or_changed_output_is_made_again(service: Service, stage: str):
    service.run()
    undisturbed = service.files()
    for harm in (lambda p: p.unlink(), lambda p: p.write_text("x")):
        harm(service.folder / f"{stage}.txt")
        service.run()
        assert service.worked == list(STAGES[STAGES.index(stage) :])
        assert service.files() == undisturbed


@pytest.mark.parametrize("stage", STAGES)
def test_a_torn_or_lost_record_means_the_stage_is_done_again(service: Service, stage: str):
    service.run()
    undisturbed = service.files()
    for harm in (lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:20])):
        harm(record_path(service.folder, stage))
        service.run()
        assert service.worked == list(STAGES[STAGES.index(stage) :])
        assert service.files() == undisturbed


@pytest.mark.parametrize(("stage", "moment"), list(itertools.product(STAGES, ("begun", "written"))))
def test_killed_in_any_stage_the_next_start_goes_on_there(service: Service, tmp_path: Path, stage: str, moment: str):
    undisturbed = Service(tmp_path / "undisturbed")
    undisturbed.folder.mkdir()
    undisturbed.run()

    def kill(at: str, when: str) -> None:
        if (at, when) == (stage, moment):
            raise Killed

    service.disturb = kill
    with pytest.raises(Killed):
        service.run()
    assert list(read_records(service.folder)) == list(STAGES[: STAGES.index(stage)])
    service.disturb = lambda at, when: None
    service.run()
    assert service.worked == list(STAGES[STAGES.index(stage) :])
    assert service.files() == undisturbed.files()


def test_killed_while_it_does_again_what_was_done_nothing_old_is_taken_for_new(service: Service):
    """The records of stages after the one that changed go before the work begins."""
    service.run()
    service.given["train"] = "2"

    def kill(stage: str, moment: str) -> None:
        raise Killed

    service.disturb = kill
    with pytest.raises(Killed):
        service.run()
    assert list(read_records(service.folder)) == ["freeze", "signals", "vet"]
    assert read_record(service.folder, "report") is None
    service.disturb = lambda stage, moment: None
    service.run()
    assert service.worked == list(STAGES[3:])


@pytest.mark.parametrize("error", [UserError("the disk is full"), RuntimeError("a bug"), OSError(28, "No space")])
def test_what_ends_a_stage_is_told_with_the_stage(service: Service, error: Exception):
    def fail(stage: str, moment: str) -> None:
        if stage == "export":
            raise error

    service.disturb = fail
    with pytest.raises(StageFailed, match="export") as failed:
        service.run()
    assert failed.value.__cause__ is error
    assert list(read_records(service.folder)) == ["freeze", "signals", "vet", "train"]


def test_a_later_attempt_that_gets_further_clears_the_note_of_failure(service: Service):
    note = service.folder / "records" / "failed.json"
    note.parent.mkdir()
    note.write_text("{}")
    service.run()
    assert not note.exists()


def test_the_clock_decides_nothing(service: Service, monkeypatch: pytest.MonkeyPatch):
    times = iter(["2030-01-01", "1999-12-31"] * len(STAGES))
    monkeypatch.setattr("distill.nightly.pipeline.now", lambda: next(times))
    records = service.run()
    assert [r.started_at for r in records.values()][:2] == ["2030-01-01", "1999-12-31"]
    assert service.run() == records
    assert service.worked == []
