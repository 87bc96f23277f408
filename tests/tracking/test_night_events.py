"""Events of a night, from its results: what is sent, in which order, from which inputs, and what is not sent."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from distill.nightly.results import NightResults, PromoteResult
from distill.tracking.night_events import NightFiles, failure_event, figures, mirror, night_events, pointer_events
from distill.tracking.outbox import Outbox, OutboxEvent
from distill.tracking.panels import NIGHT_SECTIONS
from distill.tracking.wandb_settings import TrackingMode, WandbSettings

SECONDS = {"freeze": 1.5, "train": 60.0}


def results(outcome: str = "promoted") -> NightResults:
    scores = {"auc": 0.99, "accuracy_mean": 0.95, "tpr_at_fpr": {"0.001": 0.8, "0.0001": None}}
    finding = {"kind": "doubtful_labels", "drop": "d", "file": "anna/1.jpg", "text": "anna/1.jpg looks like berta"}
    passed = outcome == "promoted"
    reasons = [
        {"kind": "guard", "metric": "accuracy", "set": "lfw", "slice": "all", "passed": True, "text": "lfw: fine"},
        {"kind": "guard", "metric": "auc", "set": "lfw", "slice": "dark", "passed": passed, "text": "lfw, dark: -0.03"},
    ]
    freeze = {"images": 40, "people": 5, "new_images": 10, "new_people": 1, "drops": ["a"], "data_sha256": "ab" * 32}
    version = "v0002" if outcome == "promoted" else None
    told = {
        "freeze": freeze,
        "signals": {"images_new": 10, "images_kept": 30, "seconds": 9.1},
        "vet": {"damaged": 1, "duplicates": 2, "doubtful_labels": 1, "split_people": 0, "findings": [finding]},
        "train": {"start": "champion", "image_steps": 100, "replayed": 0.5, "seconds": 60.0},
        "check": {"verdict": "PASS", "flops": 995, "bytes": 19, "reasons": []},
        "verify": {"sets": {"lfw": scores}, "champion": {"lfw": {**scores, "accuracy_mean": 0.94}}},
        "judge": {"verdict": "promote", "reasons": reasons},
        "promote": {"outcome": outcome, "version": version, "before": "v0001"},
    }
    return NightResults.from_json(told)


@pytest.fixture
def files(tmp_path: Path) -> NightFiles:
    paths = [tmp_path / name / "student.onnx" for name in ("v0002", "v0001")] + [tmp_path / "report.html"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(str(path).encode())
    return NightFiles(*paths)


def told(root: Path, files: NightFiles, outcome: str = "promoted") -> list[OutboxEvent]:
    return list(night_events(root, 7, results(outcome), SECONDS, files))


def artifacts(events: list[OutboxEvent]) -> list[tuple[str, str, list[str], list[str]]]:
    return [(e.run, e.body["name"], e.body["uses"], e.body["aliases"]) for e in events if e.kind == "artifact"]


def test_lineage_leads_from_data_to_the_report_and_names_what_came_before(tmp_path: Path, files: NightFiles) -> None:
    data = "data-" + "ab" * 8
    assert artifacts(told(tmp_path, files)) == [
        ("freeze", "data", [], ["night-0007", data]),
        ("signals", "signals", [f"data:{data}"], ["night-0007", data]),
        ("train", "student", [f"data:{data}", f"signals:{data}"], ["night-0007", "registry-v0002"]),
        ("report", "report", ["student:night-0007"], ["night-0007"]),
        ("registry", "student", [], ["previous"]),
        ("registry", "student", [], ["champion"]),
    ]


def test_whatever_is_used_was_told_before(tmp_path: Path, files: NightFiles) -> None:
    known: set[str] = set()
    for _, name, uses, aliases in artifacts(told(tmp_path, files)):
        assert set(uses) <= known
        known |= {f"{name}:{alias}" for alias in aliases}


def test_a_rejected_student_is_kept_and_changes_no_pointer(tmp_path: Path, files: NightFiles) -> None:
    events = told(tmp_path, files, "rejected")
    assert [aliases for _, name, _, aliases in artifacts(events) if name == "student"] == [["night-0007", "rejected"]]
    (alert,) = (event for event in events if event.kind == "alert")
    assert (alert.body["level"], alert.body["text"]) == ("WARN", "lfw, dark: -0.03")
    assert not [event for event in told(tmp_path, files) if event.kind == "alert"]


def test_a_version_that_was_withdrawn_says_so(tmp_path: Path, files: NightFiles) -> None:
    said = replace(results(), promote=PromoteResult("rejected", None, "v0001", "v0002 was taken out"))
    events = night_events(tmp_path, 7, said, SECONDS, files)
    assert [event.body["text"] for event in events if event.kind == "alert"] == ["v0002 was taken out"]


def test_files_are_named_below_the_service_with_their_bytes(tmp_path: Path, files: NightFiles) -> None:
    (student,) = (e.body["files"] for e in told(tmp_path, files) if e.run == "train")
    assert student == {
        "student.onnx": {
            "path": "v0002/student.onnx",
            "sha256": hashlib.sha256((tmp_path / "v0002/student.onnx").read_bytes()).hexdigest(),
        }
    }


def test_the_same_student_has_the_same_files_wherever_it_is_told(tmp_path: Path, files: NightFiles) -> None:
    """A pointer moves by logging the same bytes again, so nothing that changes may be in the artifact."""
    events = told(tmp_path, files)
    (trained,) = (e.body for e in events if e.run == "train")
    (champion,) = (e.body for e in events if e.kind == "artifact" and e.body["aliases"] == ["champion"])
    assert trained["files"] == champion["files"]


def test_names_of_people_stay_here(tmp_path: Path, files: NightFiles) -> None:
    text = json.dumps([asdict(event) for event in [*told(tmp_path, files), failure_event(8, "vet")]])
    assert "anna" not in text
    assert "berta" not in text


def test_a_night_after_a_rollback_tells_where_the_registry_points(tmp_path: Path, files: NightFiles) -> None:
    events = told(tmp_path, replace(files, champion=files.previous, previous=files.student), "rejected")
    pointers = {event.body["aliases"][0]: event.body["files"] for event in events if event.run == "registry"}
    assert pointers["champion"]["student.onnx"]["path"] == "v0001/student.onnx"
    assert pointers["previous"]["student.onnx"]["path"] == "v0002/student.onnx"


def test_a_rollback_there_and_back_is_three_changes(tmp_path: Path, files: NightFiles) -> None:
    assert files.student is not None
    outbox = Outbox(tmp_path)
    for number, (champion, previous) in enumerate(
        [(files.student, files.previous), (files.previous, files.student)] * 2
    ):
        for event in pointer_events(tmp_path, f"state {number}", champion or files.student, previous):
            outbox.append(event)
    assert len(outbox.pending()) == 8


def test_figures_are_finite_named_numbers_that_the_panels_draw(tmp_path: Path) -> None:
    found = figures(results(), SECONDS)
    assert found["score/lfw/accuracy/challenger"] == 0.95
    assert found["score/lfw/accuracy/champion"] == 0.94
    assert found["score/lfw/tpr_at_fpr_0.001/challenger"] == 0.8
    assert "score/lfw/tpr_at_fpr_0.0001/challenger" not in found
    assert (found["data/new_images"], found["found/duplicates"], found["seconds/train"]) == (10, 2, 60)
    assert (found["cost/flops"], found["cost/bytes"], found["promoted"]) == (995, 19, 1)
    patterns = [panel.pattern for section in NIGHT_SECTIONS for panel in section.panels]
    assert all(any(re.fullmatch(pattern, name) for pattern in patterns) for name in found)
    assert all(any(re.fullmatch(pattern, name) for name in found) for pattern in patterns)


def test_disabled_leaves_no_outbox(tmp_path: Path) -> None:
    mirror(tmp_path, [failure_event(1, "train")], WandbSettings(mode=TrackingMode.disabled))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_files_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "outbox").write_text("a file where the folder should be")
    mirror(tmp_path, [failure_event(1, "train")], WandbSettings(mode=TrackingMode.online))
    (record,) = caplog.records
    assert "W&B: gets no events of this night" in record.getMessage()
