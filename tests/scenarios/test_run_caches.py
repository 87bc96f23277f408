"""Runs, trained teachers, nights: used again with the same inputs, computed again after a change of any of them.

The table of what is kept, and of what each is bound to, is in docs/design.md.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest

from distill.config.compose import load
from distill.config.service_jobs import NightlyConf
from distill.data import recordio
from distill.data.recordio import RecordIOSet
from distill.errors import UserError
from distill.files.network_file import network_sha256
from distill.jobs import distill, teach
from distill.nightly import task as night_task
from distill.nightly.task import NightNetworks, decides
from distill.runs import generations
from distill.runs.finish import TrainedRun
from distill.runs.folder import RunFolder
from distill.runs.student import identity
from reference.changed_inputs import (
    OF_THE_FACES,
    OF_THE_PAIRS,
    OF_THE_TEACHER,
    PEOPLE,
    Change,
    another_rule,
    assert_made_anew,
    data_of,
    first_weights,
    network,
    opened,
    other_weights,
    padded,
    pairs_file,
    put_card,
    replace,
    run_options,
    teacher_of,
    write_faces,
)
from reference.recordio import payload, write_set
from reference.small_data import SMALL_TEACHER


def digits(place: Path, *more: str) -> str:
    return identity(load("distill", [*run_options(place), *more]), opened(place, *more)).digits


BEGINS = ["student.init=BEFORE", "student.centres=BEFORE"]
OF_A_RUN: dict[str, Change] = {
    **OF_THE_TEACHER,
    **OF_THE_FACES,
    **OF_THE_PAIRS,
    "first weights": lambda place, patch: replace(place / "before/student.safetensors", b"abcd"),
    "first class centres": lambda place, patch: replace(place / "before/centres.safetensors", b"abcd"),
    "transfer pictures": lambda place, patch: replace(place / "transfer/p1/1.jpg", padded(78, 0)),
}


@pytest.mark.slow
def test_a_run_is_finished_for_these_inputs_alone(place: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """The whole job but for the training, in whose place stands a run that finishes."""
    trained: list[str] = []
    first_weights(place, 1.0)
    write_faces(place / "transfer", first=20)

    def train(conf: object, opened: object, folder: RunFolder, sinks: object, rehearsal: bool) -> tuple[None, None]:
        trained.append(folder.path.name)
        return None, None

    def finish(delivery: TrainedRun, network: object) -> int:
        delivery.folder.finish({"verdict": "pass"})
        return 0

    monkeypatch.setattr(generations, "train", train)
    monkeypatch.setattr(generations, "finish_run", finish)
    monkeypatch.setattr(generations, "show", lambda folder: 0)
    begins = [option.replace("BEFORE", str(place / "before")) for option in BEGINS]
    conf = load("distill", [*run_options(place), *begins, f"data.transfer=[{place / 'transfer'}]"])

    def last_trained() -> str:
        assert distill.run(conf) == 0
        return trained[-1]

    assert_made_anew(last_trained, OF_A_RUN, place, monkeypatch)
    assert len(trained) == len(set(trained)) == 1 + len(OF_A_RUN)
    assert capsys.readouterr().out.count("this run is finished") == len(OF_A_RUN)


@pytest.mark.slow
def test_a_run_that_was_named_refuses_other_inputs(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(generations, "train", lambda conf, opened, folder, sinks, rehearsal: (0, 0))
    monkeypatch.setattr(generations, "finish_run", lambda delivery, network: 0)
    conf = load("distill", run_options(place))

    def run(name: str) -> int:
        return distill.run(dataclasses.replace(conf, run=dataclasses.replace(conf.run, name=name)))

    kinds = {"teacher": OF_THE_TEACHER, "data": OF_THE_FACES, "data.pairs": OF_THE_PAIRS}
    for name, changes in kinds.items():
        assert run(name) == run(name) == 0
        next(iter(changes.values()))(place, monkeypatch)
        with pytest.raises(
            UserError, match=rf"/{name} is a run with other contents of {name}: .*give another run.name"
        ):
            run(name)
        assert run(f"another-{name}") == 0


@pytest.mark.slow
def test_the_name_of_a_run_does_not_change_with_names_of_files_beside(place: Path):
    before = digits(place)
    weights = place / "teacher/network.onnx"
    onnx.save(onnx.load(weights), weights, save_as_external_data=True, location="renamed.bin", size_threshold=0)
    (place / "teacher/network.onnx.data").unlink()
    assert digits(place) == before
    shutil.move(place / "faces", place / "moved")
    (place / "faces").symlink_to(place / "moved")
    assert digits(place) == before


def test_recordio_of_the_same_size_is_another_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def made(second: int) -> str:
        images = {p: payload(padded(p if p != 1 else second, 0), float(p)) for p in range(PEOPLE)}
        write_set(tmp_path, images, classes=PEOPLE)
        return RecordIOSet(tmp_path).fingerprint()

    assert made(1) == made(1) != made(7)
    before = made(1)
    another_rule(recordio)(tmp_path, monkeypatch)
    assert made(1) != before


# teachers


OF_A_LESSON: dict[str, Change] = {
    **OF_THE_FACES,
    **OF_THE_PAIRS,
    "the weights that it grows from": lambda place, patch: replace(place / "init.safetensors", b"abcd"),
    "the weights that it left": lambda place, patch: replace(place / "taught/weights.safetensors", b"abcd"),
}


@pytest.mark.slow
def test_a_teacher_is_taught_by_these_inputs_alone(place: Path, monkeypatch: pytest.MonkeyPatch):
    taught: list[str] = []
    (place / "init.safetensors").write_bytes(b"init")

    def lesson(conf: object, folder: RunFolder, *_: object) -> object:
        taught.append(folder.path.name)
        (place / "taught/weights.safetensors").write_bytes(f"{len(taught):4}".encode())
        folder.finish({"weights_sha256": network_sha256(place / "taught/weights.safetensors")})
        return None, SimpleNamespace(rows=list)

    monkeypatch.setattr(teach, "teach", lesson)
    monkeypatch.setattr(teach, "export_teacher", lambda *_: SimpleNamespace(rows=list, passed=True, reasons=()))
    monkeypatch.setattr(teach, "is_exported", lambda *_: True)
    monkeypatch.setattr(teach, "print_verification", lambda *_: None)
    weights = [f"teacher.weights={place / 'taught/weights.safetensors'}", f"init={place / 'init.safetensors'}"]
    options = [*data_of(place), f"run.root={place / 'runs'}", "trainer=smoke", "tracking=none"]
    conf = load("teach", [*SMALL_TEACHER, *weights, *options])

    def lessons() -> int:
        assert teach.run(conf) == 0
        return len(taught)

    assert_made_anew(lessons, OF_A_LESSON, place, monkeypatch)


# nights


def night_conf(place: Path) -> NightlyConf:
    options = [f"drops={place / 'faces'}", f"benchmarks={place / 'frozen'}", f"root={place / 'service'}"]
    begins = f"student.init={place / 'before'}"
    anchor = f"judge.anchor={place / 'anchor/network.onnx'}"
    return load("nightly", [*teacher_of(place), *options, anchor, begins, "start=anew"])


OF_A_NIGHT: dict[str, Change] = {
    **OF_THE_TEACHER,
    "weights beside the anchor's graph": lambda place, patch: other_weights(place / "anchor"),
    "the anchor's card": lambda place, patch: put_card(place / "anchor"),
    "first weights": lambda place, patch: replace(place / "before/student.safetensors", b"abcd"),
    "a frozen set": lambda place, patch: pairs_file(place / "frozen/lfw.bin", first=60),
    "what is known of its people": lambda place, patch: replace(place / "frozen/lfw.tsv", b"left\tright\n"),
    "a frozen set more": lambda place, patch: pairs_file(place / "frozen/more.bin"),
    "the decoding rule": another_rule(night_task),
}


def test_nothing_has_changed_only_where_nothing_has(place: Path, monkeypatch: pytest.MonkeyPatch):
    network(place / "anchor")
    first_weights(place, 1.0)
    (place / "frozen").mkdir()
    pairs_file(place / "frozen/lfw.bin")
    (place / "frozen/lfw.tsv").touch()
    conf = night_conf(place)
    assert_made_anew(lambda: decides(conf, NightNetworks(conf)), OF_A_NIGHT, place, monkeypatch)
