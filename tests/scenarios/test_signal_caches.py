"""Stored outputs of a teacher: used again with the same inputs, computed again after a change of any of them.

The table of what is kept, and of what each is bound to, is in docs/design.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from distill.config.compose import load
from distill.data.folder import ImageFolderSet
from distill.jobs import signals
from distill.nightly import frozen
from distill.nightly.drop_signals import DropSignals
from distill.nightly.freeze import freeze
from distill.nightly.frozen import parts_of
from distill.runs import supervision
from distill.runs.assemble import augmentation, labelled_faces, verification_pairs
from distill.runs.supervision import Supervision, TrainingView, supervise
from distill.types import Preprocessing
from reference.changed_inputs import (
    OF_THE_FACES,
    OF_THE_PAIRS,
    OF_THE_TEACHER,
    PEOPLE,
    PICTURES,
    Change,
    another_rule,
    assert_made_anew,
    data_of,
    opened,
    padded,
    pairs_file,
    replace,
    run_options,
    teacher_of,
)
from reference.tiny_network import TinyNetwork
from teachers.card import Card
from teachers.teacher import Teacher


def stores(place: Path, *more: str) -> set[str]:
    """The stores after ``make signals``; what it wrote into one that was there already counts as new."""
    before = {path.parent: path.stat().st_mtime_ns for path in (place / "signals").glob("*/shard-*")}
    conf = load("signals", [*teacher_of(place), *data_of(place), "workers=0", *more])
    assert signals.run(conf) == 0
    found = {path.parent: path.stat().st_mtime_ns for path in (place / "signals").glob("*/shard-*")}
    return {folder.name for folder, written in found.items() if before.get(folder) != written}


def test_a_set_of_faces_is_another_after_each_change(place: Path, monkeypatch: pytest.MonkeyPatch):
    assert_made_anew(lambda: ImageFolderSet(place / "faces").fingerprint(), OF_THE_FACES, place, monkeypatch)


def test_signals_are_of_this_teacher_and_these_faces(place: Path, monkeypatch: pytest.MonkeyPatch):
    assert (len(stores(place)), stores(place)) == (1, set())
    for what, change in (OF_THE_TEACHER | {"a picture": OF_THE_FACES["a picture of the same size"]}).items():
        change(place, monkeypatch)
        assert len(stores(place)) == 1, what
    assert stores(place) == set()


@pytest.mark.slow
def test_signals_are_of_these_views(place: Path):
    for more in ([], ["views=2"], ["views=3"], ["views=2", "seed=2"], ["views=2", "data.augment.colour=0.5"]):
        assert len(stores(place, *more)) == 1
    assert stores(place, "views=2") == set()


def test_signals_of_another_precision_are_not_those_that_were_asked_for(place: Path, refused, capsys):
    assert len(stores(place, "teacher.precision=bf16")) == 1
    assert len(stores(place, "teacher.precision=fp32")) == 1
    assert stores(place, "teacher.precision=bf16") == set() == stores(place, "teacher.precision=fp32")
    out = f"out={place / 'mine'}"
    stores(place, "teacher.precision=bf16", out)
    told = refused("signals", *teacher_of(place), *data_of(place), "workers=0", "teacher.precision=fp32", out)
    assert 'teacher.precision is "bf16" there and "fp32" here' in told


def test_a_run_takes_stored_signals_of_the_precision_that_it_asks_for_alone(place: Path):
    stores(place, "teacher.precision=bf16", "data.augment.shift_px=0")

    def stored_for(*more: str) -> bool:
        found = opened(place, "signals=auto", "data.augment.shift_px=0", *more).supervision
        return found is not None and found.store is not None

    assert stored_for()
    assert stored_for("teacher.precision=bf16")
    assert not stored_for("teacher.precision=fp32")


def test_distances_of_the_pairs_are_those_of_these_pairs(place: Path):
    stores(place)
    before = set((place / "signals").glob("*/pairs-*"))
    pairs_file(place / "pairs.bin", first=60)
    stores(place)
    assert len(set((place / "signals").glob("*/pairs-*")) - before) == 1


# the signals of drops


@pytest.fixture
def drop(place: Path) -> Callable[..., int]:
    """Stores the signals of a drop and says how many images the teacher has seen for it."""
    shutil.copytree(place / "faces", place / "drops/1")

    def work(*more: str) -> int:
        conf = load("signals", [*teacher_of(place), *data_of(place), "workers=0", *more])
        _, told = DropSignals(conf, place / "service").write(parts_of(freeze(place / "drops", None)))
        return told.images_new

    return work


OF_A_DROP: dict[str, Change] = {
    **OF_THE_TEACHER,
    "a picture of the same size": lambda place, patch: replace(place / "drops/1/p1/1.jpg", padded(77, 0)),
    "the decoding rule": another_rule(frozen),
}


@pytest.mark.slow
def test_signals_of_a_drop(place: Path, drop: Callable[..., int], monkeypatch: pytest.MonkeyPatch):
    assert (drop(), drop()) == (PEOPLE * PICTURES, 0)
    for what, change in OF_A_DROP.items():
        change(place, monkeypatch)
        assert (drop(), drop()) == (PEOPLE * PICTURES, 0), what


def test_signals_of_a_drop_of_another_precision(place: Path, drop: Callable[..., int]):
    assert [drop(f"teacher.precision={precision}") for precision in ("bf16", "fp32", "bf16", "fp32")] == [6, 6, 0, 0]
    (place / "teacher/network.onnx").unlink()  # known by its name alone
    assert drop("teacher.precision=bf16") == 0


# what a run keeps of its teacher beside the runs


def test_embeddings_of_a_teacher_are_of_it_and_its_precision(place: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    confs = {p: load("distill", [*run_options(place), f"teacher.precision={p}"]) for p in ("fp32", "bf16")}

    def asked(precision: str = "fp32") -> int:
        conf, before = confs[precision], len(calls)
        shown = TrainingView(faces := labelled_faces(conf.data), faces, augmentation(conf.data), conf.seed)
        found = supervise(conf.teacher, "live", shown, place / "cache")
        assert found is not None
        found.distances(verification_pairs(conf.data)[0])
        return len(calls) - before

    embeddings = supervision.pair_embeddings
    monkeypatch.setattr(supervision, "pair_embeddings", lambda *a: (calls.append("asked"), embeddings(*a))[1])
    assert (asked(), asked(), asked("bf16"), asked("bf16")) == (1, 0, 1, 0)
    for what, change in (OF_THE_TEACHER | OF_THE_PAIRS).items():
        change(place, monkeypatch)
        assert (asked(), asked()) == (1, 0), what


def test_mean_centres_are_of_these_faces_and_this_precision(place: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    monkeypatch.setattr(supervision, "mean_centres", lambda *a: calls.append("made") or torch.zeros(PEOPLE, 4))

    def centres(precision: str = "fp32", live_id: str = "a") -> int:
        card = Card("tiny", "-", "-", Preprocessing())
        teacher = Teacher("tiny", TinyNetwork(), card, card.preprocessing, precision)  # pyright: ignore[reportArgumentType]
        Supervision(teacher, None, live_id, place / "cache").centres(ImageFolderSet(place / "faces"))
        return len(calls)

    assert (centres(), centres(), centres("bf16"), centres(live_id="b"), centres()) == (1, 1, 2, 3, 3)
    replace(place / "faces/p1/1.jpg", padded(77, 0))
    assert (centres(), centres()) == (4, 4)
