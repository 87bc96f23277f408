"""The end of a night: who is put into service, in whose place, and only where every byte is what was added."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distill.config.service_jobs import SigningConf
from distill.errors import UserError
from distill.judge.judgement import Judgement, Reason
from distill.nightly.results import JudgeResult, PromoteResult, VerifyResult
from distill.nightly.stages import promotion as night_end
from distill.nightly.stages import scores as night_scores
from distill.nightly.stages import student as night_student
from distill.nightly.stages.promotion import champion_before, promote_stage
from distill.nightly.stages.student import Beginning
from distill.registry.history import EventKind
from distill.registry.registry import Registry
from distill.registry.version import Version


class Service:
    """A registry with two versions of earlier nights, and a third night whose student is better."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.registry, self.patch = root, Registry(root / "registry"), monkeypatch
        conf = SimpleNamespace(signing=SigningConf(), student=SimpleNamespace(name="mine"))
        self.task: Any = SimpleNamespace(root=root, conf=conf, night=SimpleNamespace(number=3, folder=root / "night"))
        for night in (1, 2):
            self.registry.add({"student.onnx": self._file(night)}, {"night": night})
            self.registry.promote(f"v000{night}", {})
        self.made = self._file(3)
        monkeypatch.setattr(night_end, "version_files", lambda _: {"student.onnx": self.made})
        monkeypatch.setattr(night_end, "_facts", lambda task, _: {"night": task.night.number})

    def _file(self, night: int) -> Path:
        path = self.root / f"{night}.onnx"
        path.write_bytes(b"model %d" % night)
        return path

    def promote(
        self, compared_with: str | None = "v0002", verdict: str = "promote", read: Version | None = None
    ) -> PromoteResult:
        reason = Reason("main", "auc", "holds" if verdict == "promote" else "fails", "better")
        results = (VerifyResult(champion_version=compared_with), JudgeResult(Judgement((reason,), {}, {})))
        done: Any = {result.STAGE: SimpleNamespace(result=result.to_json()) for result in results}
        return promote_stage(self.task, read or champion_before(self.task), done).result  # pyright: ignore[reportReturnType]

    def serving(self) -> str:
        champion = self.registry.champion()
        assert champion is not None
        return champion.name

    def when_added(self, then) -> None:
        """Do something between the moment when the night has added its version and that when it promotes it."""
        add = Registry.add

        def added(registry: Registry, *what: Any) -> Version:
            version = add(registry, *what)
            then(version)
            return version

        self.patch.setattr(Registry, "add", added)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(tmp_path, monkeypatch)


def test_the_better_one_replaces_the_champion_and_the_worse_one_does_not(service: Service):
    assert service.promote(verdict="reject") == PromoteResult("rejected", None, "v0002")
    assert service.serving() == "v0002"
    assert len(service.registry.versions()) == 2
    assert service.promote() == PromoteResult("promoted", "v0003", "v0002")
    assert service.serving() == "v0003"
    assert service.registry.history()[-1].why == {"night": 3, "main": "better"}


def test_a_night_that_was_killed_after_its_promotion_comes_to_the_same(service: Service):
    first = service.promote()
    before = champion_before(service.task)
    assert before is not None
    assert before.name == "v0002"
    assert service.promote() == first
    assert sum(event.kind is EventKind.promote for event in service.registry.history()) == 3


def test_a_version_that_is_damaged_after_it_was_added_is_not_promoted(service: Service):
    service.when_added(lambda version: version.file("student.onnx").write_bytes(b"other"))
    with pytest.raises(UserError, match=r"v0003/student\.onnx: has sha256"):
        service.promote()
    assert service.serving() == "v0002"


def test_a_champion_that_changed_since_the_comparison_is_not_replaced(service: Service):
    with pytest.raises(UserError, match=r"the champion is v0002 and was v0001 when the student was compared with it"):
        service.promote(compared_with="v0001")
    with pytest.raises(UserError, match=r"the champion is v0002 and was None when"):
        service.promote(compared_with=None)
    assert service.serving() == "v0002"
    assert len(service.registry.versions()) == 2, "and nothing is added for it"


def test_a_champion_that_changes_between_reading_and_promoting_is_not_replaced(service: Service):
    """Somebody takes the champion out of service while the night copies its files."""
    service.when_added(lambda _: service.registry.rollback({"why": "it fails"}))
    with pytest.raises(UserError, match=r"the champion is v0001 and was v0002 when v0003 was compared with it"):
        service.promote()
    assert service.serving() == "v0001"


def test_a_student_that_was_taken_out_of_service_is_rejected(service: Service):
    service.promote()
    service.registry.rollback({})
    found = service.promote()
    assert (found.outcome, found.before) == ("rejected", "v0002")
    assert "v0003 was taken out of service" in found.reason
    assert service.serving() == "v0002"


def test_nobody_goes_on_from_a_damaged_champion_or_is_compared_with_one(service: Service, monkeypatch):
    champion = service.registry.champion()
    assert champion is not None
    champion.file("student.onnx").write_bytes(b"other")
    monkeypatch.setattr(night_student, "student_conf", lambda *_: None)
    for name in ("student_conf", "judge_file", "limits", "state_sha256", "trained_student", "parity_of", "trained_of"):
        monkeypatch.setattr(night_scores, name, lambda *_: SimpleNamespace(tracking=None, student=None, protocol=None))
    monkeypatch.setattr(night_scores, "open_inputs", lambda *_: SimpleNamespace(pairs=[], supervision=None))
    monkeypatch.setattr(night_scores, "tracked", lambda *_: nullcontext())
    monkeypatch.setattr(night_scores, "conclude", lambda *_: [])
    service.task.conf.root = str(service.root)
    service.task.networks = SimpleNamespace(teacher=None, anchor=None)
    service.task.student = None
    done: Any = {"parity": SimpleNamespace(result={"passed": True})}
    for use in (
        lambda: night_student.train_stage(service.task, Beginning(champion)),
        lambda: night_scores.verify_stage(service.task, Beginning(champion), champion, done),
    ):
        with pytest.raises(UserError, match=r"v0002/student\.onnx: has sha256"):
            use()
