"""Whatever is kept and used again: with the same inputs it is, and after a change of any one of them it is made anew.

The table of what is kept, and of what each is bound to, is in docs/design.md.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
import yaml

from distill.config.compose import load
from distill.config.service_jobs import NightlyConf
from distill.data import folder as folder_sets
from distill.data import ijb as ijb_sets
from distill.data import recordio
from distill.data.damage import Damage
from distill.data.folder import ImageFolderSet
from distill.data.ijb import find_ijb, read_faces
from distill.data.pairs import write_pairs
from distill.data.recordio import RecordIOSet
from distill.errors import UserError
from distill.features import rows as features
from distill.features import template_sums as pooling
from distill.features.template_sums import Bound, Pooling, pool_images
from distill.files.network_file import network_sha256
from distill.jobs import distill, embed, ijb, judge, signals, teach, verify
from distill.nightly import frozen
from distill.nightly import task as night_task
from distill.nightly.drop_signals import DropSignals
from distill.nightly.freeze import freeze
from distill.nightly.frozen import parts_of
from distill.nightly.task import decides
from distill.runs import signal_lookup as stored
from distill.runs import supervision
from distill.runs.assemble import augmentation, labelled_faces, verification_pairs
from distill.runs.folder import RunFolder
from distill.runs.student import RunInputs, identity, open_inputs
from distill.runs.supervision import Supervision, TrainingView, supervise
from distill.types import Preprocessing
from reference import ijb_layout
from reference.recordio import payload, write_set
from reference.small_data import SMALL_TEACHER, picture
from reference.tiny_network import TinyNetwork
from reference.tiny_onnx import TinyOnnx
from teachers.card import Card
from teachers.onnx_network import OnnxNetwork
from teachers.teacher import Teacher

Change = Callable[[Path, pytest.MonkeyPatch], object]
PEOPLE, PICTURES, BYTES = 3, 2, 8000


def padded(person: int, number: int) -> bytes:
    """A picture in a file of ``BYTES``, so that another one in its place has the same size."""
    return picture(person, number).ljust(BYTES, b"\0")


def replace(path: Path, content: bytes) -> None:
    """Other content under the same name, with the same size where that is possible, and the same time."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=times)


def network(folder: Path, width: int = 6) -> Path:
    """The tiny network with its weights in a file beside the graph, as exporters write large ones."""
    folder.mkdir(parents=True, exist_ok=True)
    path = TinyOnnx(width=width).write(folder / "network.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="network.onnx.data", size_threshold=0)
    return path


def other_weights(folder: Path) -> None:
    """Another network whose graph is the same to the last byte."""
    graph, data = (folder / "network.onnx").read_bytes(), folder / "network.onnx.data"
    replace(data, (2 * np.frombuffer(data.read_bytes(), np.float32)).tobytes())
    assert (folder / "network.onnx").read_bytes() == graph


def put_card(folder: Path) -> None:
    """A card beside the network that says which preprocessing it expects."""
    preprocessing = {"order": "bgr", "mean": [0.0, 0.0, 0.0], "std": [255.0, 255.0, 255.0]}
    card = {"name": "network", "source": "-", "licence": "-", "preprocessing": preprocessing}
    (folder / "network.card.yaml").write_text(yaml.safe_dump(card))


def write_faces(folder: Path, first: int = 0) -> None:
    for person in range(PEOPLE):
        for number in range(PICTURES):
            path = folder / f"p{person}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(padded(first + person, number))


def pairs_file(path: Path, first: int = 50) -> None:
    rows = [(first + k % 4, first + (k % 4 if k % 2 else (k + 1) % 4), k) for k in range(20)]
    encoded = [image for a, b, k in rows for image in (padded(a, 2 * k), padded(b, 2 * k + 1))]
    write_pairs(path, encoded, [a == b for a, b, _ in rows])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network, a folder set, verification pairs, a list and a place for signals."""
    network(tmp_path / "teacher")
    write_faces(tmp_path / "faces")
    pairs_file(tmp_path / "pairs.bin")
    names = [path.relative_to(tmp_path / "faces").as_posix() for path in sorted((tmp_path / "faces").rglob("*.jpg"))]
    (tmp_path / "list.txt").write_text("".join(f"{name}\n" for name in names))
    monkeypatch.setattr(stored, "ROOT", tmp_path / "signals")
    monkeypatch.setattr(signals, "ROOT", tmp_path / "signals")
    return tmp_path


def data_of(place: Path) -> list[str]:
    return ["data=folder", f"data.root={place / 'faces'}", f"data.pairs={place / 'pairs.bin'}"]


def teacher_of(place: Path) -> list[str]:
    return ["teacher=onnx", f"teacher.weights={place / 'teacher/network.onnx'}", "teacher.check=false"]


def another_rule(where: object) -> Change:
    return lambda place, patch: patch.setattr(where, "RULE", -1)


OF_THE_TEACHER: dict[str, Change] = {
    "weights beside the graph": lambda place, patch: other_weights(place / "teacher"),
    "the graph": lambda place, patch: network(place / "teacher", width=5),
    "the card beside it": lambda place, patch: put_card(place / "teacher"),
}
OF_THE_FACES: dict[str, Change] = {
    "a picture of the same size": lambda place, patch: replace(place / "faces/p1/1.jpg", padded(77, 0)),
    "a picture more": lambda place, patch: (place / "faces/p1/2.jpg").write_bytes(padded(1, 2)),
    "a picture's name": lambda place, patch: (place / "faces/p0/1.jpg").rename(place / "faces/p0/3.jpg"),
    "a picture's person": lambda place, patch: (place / "faces/p2/1.jpg").rename(place / "faces/p1/9.jpg"),
    "the decoding rule": another_rule(folder_sets),
}
OF_THE_PAIRS: dict[str, Change] = {
    "the pairs": lambda place, patch: pairs_file(place / "pairs.bin", first=60),
    "their verdicts": lambda place, patch: write_pairs(
        place / "pairs.bin", [padded(k, 0) for k in range(40)], [k % 2 == 0 for k in range(20)]
    ),
}


def assert_made_anew(
    make: Callable[[], object], changes: Mapping[str, Change], place: Path, patch: pytest.MonkeyPatch
) -> None:
    """``make`` gives the same twice, and something that it has not given before after each change."""
    known = [make()]
    for what, change in changes.items():
        assert make() == known[-1], what
        change(place, patch)
        made = make()
        assert made not in known, what
        known.append(made)


# signals


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


# runs


def run_options(place: Path) -> list[str]:
    small = ("widths=[8,8,8,8]", "units=[1,1,1]", "last_channels=16")
    network = [f"student.network.{option}" for option in small]
    return [
        *network,
        *teacher_of(place),
        *data_of(place),
        f"run.root={place / 'runs'}",
        "trainer=smoke",
        "tracking=none",
    ]


def opened(place: Path, *more: str) -> RunInputs:
    return open_inputs(load("distill", [*run_options(place), *more]), place / "cache")


def digits(place: Path, *more: str) -> str:
    return identity(load("distill", [*run_options(place), *more]), opened(place, *more)).digits


def first_weights(place: Path, value: float) -> None:
    """What a run before may have left: weights and class centres."""
    (place / "before").mkdir(exist_ok=True)
    for name in ("student.safetensors", "centres.safetensors"):
        (place / "before" / name).write_bytes(np.float32(value).tobytes())


BEGINS = ["student.init=BEFORE", "student.centres=BEFORE"]
OF_A_RUN: dict[str, Change] = {
    **OF_THE_TEACHER,
    **OF_THE_FACES,
    **OF_THE_PAIRS,
    "first weights": lambda place, patch: replace(place / "before/student.safetensors", b"abcd"),
    "first class centres": lambda place, patch: replace(place / "before/centres.safetensors", b"abcd"),
    "transfer pictures": lambda place, patch: replace(place / "transfer/p1/1.jpg", padded(78, 0)),
}


def test_a_run_is_finished_for_these_inputs_alone(place: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """The whole job but for the training, in whose place stands a run that finishes."""
    trained: list[str] = []
    first_weights(place, 1.0)
    write_faces(place / "transfer", first=20)

    def train(conf: object, opened: object, folder: RunFolder, sinks: object) -> tuple[None, None]:
        trained.append(folder.path.name)
        return None, None

    def finish(delivery: distill.Delivery, network: object) -> int:
        delivery.folder.finish({"verdict": "pass"})
        return 0

    monkeypatch.setattr(distill, "train", train)
    monkeypatch.setattr(distill, "deliver", finish)
    monkeypatch.setattr(distill, "show", lambda folder: 0)
    begins = [option.replace("BEFORE", str(place / "before")) for option in BEGINS]
    conf = load("distill", [*run_options(place), *begins, f"data.transfer=[{place / 'transfer'}]"])

    def last_trained() -> str:
        assert distill.run(conf) == 0
        return trained[-1]

    assert_made_anew(last_trained, OF_A_RUN, place, monkeypatch)
    assert len(trained) == len(set(trained)) == 1 + len(OF_A_RUN)
    assert capsys.readouterr().out.count("this run is finished") == len(OF_A_RUN)


def test_a_run_that_was_named_refuses_other_inputs(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distill, "train", lambda conf, opened, folder, sinks: (0, 0))
    monkeypatch.setattr(distill, "deliver", lambda delivery, network: 0)
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


def test_a_teacher_is_taught_by_these_inputs_alone(place: Path, monkeypatch: pytest.MonkeyPatch):
    taught: list[str] = []
    (place / "init.safetensors").write_bytes(b"init")

    def lesson(conf: object, folder: RunFolder, *_: object) -> object:
        taught.append(folder.path.name)
        (place / "taught/weights.safetensors").write_bytes(f"{len(taught):4}".encode())
        folder.finish({"weights_sha256": network_sha256(place / "taught/weights.safetensors")})
        return SimpleNamespace(rows=list)

    monkeypatch.setattr(teach, "_teach", lesson)
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
    assert_made_anew(lambda: decides(conf), OF_A_NIGHT, place, monkeypatch)


# IJB


OF_IJB: dict[str, Change] = {
    "weights beside the graph": lambda place, patch: other_weights(place / "teacher"),
    "the graph": lambda place, patch: network(place / "teacher", width=5),
    "the card beside it": lambda place, patch: put_card(place / "teacher"),
    "a picture": lambda place, patch: replace(
        place / "IJBC/loose_crop/1.jpg", (place / "IJBC/loose_crop/2.jpg").read_bytes()
    ),
    "a point of a face": lambda place, patch: edit(place / "IJBC/meta/ijbc_name_5pts_score.txt", "1.jpg ", "1.jpg 1"),
    "a medium": lambda place, patch: edit(place / "IJBC/meta/ijbc_face_tid_mid.txt", "1.jpg 101 707", "1.jpg 101 9"),
    "the decoding rule": another_rule(ijb_sets),
}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_sums_of_templates_are_of_this_network_and_these_images(place: Path, monkeypatch: pytest.MonkeyPatch):
    ijb_layout.small().write(place / "IJBC")
    embedded: list[int] = []
    inner = pooling._embed
    monkeypatch.setattr(pooling, "_embed", lambda *a: (embedded.append(1), inner(*a))[1])
    monkeypatch.setattr(ijb, "print_figures", lambda *_: None)
    model = f"model={place / 'teacher/network.onnx'}"
    conf = load("ijb", [model, f"data.root={place / 'IJBC'}", f"out={place / 'out'}", "bootstrap=2"])

    def batches() -> int:
        before = len(embedded)
        assert ijb.run(conf) == 0
        return len(embedded) - before

    once = batches()
    assert (once > 0, batches()) == (True, 0)
    for what, change in OF_IJB.items():
        change(place, monkeypatch)
        assert (batches(), batches()) == (once, 0), what


# features


OTHER_IMAGES = "of images with other contents"
OF_FEATURES: dict[str, tuple[str, Change]] = {
    "weights beside the graph": ("with model_sha256 ", lambda place, patch: other_weights(place / "teacher")),
    "the card beside it": ("with preprocessing ", lambda place, patch: put_card(place / "teacher")),
    "the list": ("with list_sha256 ", lambda place, patch: edit(place / "list.txt", "p0/0", "./p0/0")),
    "a picture of the same size": (OTHER_IMAGES, OF_THE_FACES["a picture of the same size"]),
    "the decoding rule": ("with decoding_rule ", another_rule(embed)),
}


def test_features_are_of_this_network_and_these_images(place: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """What is in a feature file is refused rather than written over: somebody may need it."""
    options = [f"model={place / 'teacher/network.onnx'}", f"list={place / 'list.txt'}", f"root={place / 'faces'}"]
    conf = load("embed", [*options, f"out={place / 'features.bin'}"])
    fresh = dataclasses.replace(conf, fresh=True)
    assert embed.run(conf) == embed.run(conf) == 0
    assert "6 of 6 rows are there already" in capsys.readouterr().out
    for what, (told, change) in OF_FEATURES.items():
        change(place, monkeypatch)
        with pytest.raises(UserError, match=rf"features\.bin has features {told}.*expected the same"):
            embed.run(conf)
        assert embed.run(fresh) == embed.run(conf) == 0, what


def test_features_of_videos_are_of_every_frame_and_of_the_network_that_weighs_them(place: Path):
    (place / "list.txt").write_text("p0\np1\np2\n")
    network(place / "quality", width=1)
    options = [f"model={place / 'teacher/network.onnx'}", f"list={place / 'list.txt'}", f"root={place / 'faces'}"]
    weighed = ["kind=video", "fusion=network", f"frame_quality={place / 'quality/network.onnx'}"]
    conf = load("embed", [*options, *weighed, f"out={place / 'features.bin'}"])
    for told, change in (
        (OTHER_IMAGES, lambda: replace(place / "faces/p2/1.jpg", padded(77, 0))),
        ("with frame_quality_sha256", lambda: other_weights(place / "quality")),
        ("with frame_quality_preprocessing", lambda: put_card(place / "quality")),
    ):
        assert embed.run(dataclasses.replace(conf, fresh=True)) == embed.run(conf) == 0
        change()
        with pytest.raises(UserError, match=f"has features {told}"):
            embed.run(conf)


def test_a_later_image_may_be_mended_while_features_are_written(place: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Rows that are written stay; a change of an image that is in them is refused."""
    monkeypatch.setitem(features.BLOCK_ROWS, "image", 2)
    model, mended = f"model={place / 'teacher/network.onnx'}", place / "faces/p2/0.jpg"
    paths = [f"list={place / 'list.txt'}", f"root={place / 'faces'}", f"out={place / 'features.bin'}"]
    conf = load("embed", [model, *paths, "batch_size=2", "max_damaged=0"])
    mended.write_bytes(b"torn")
    for _ in range(2):
        with pytest.raises(UserError, match="line 5"):
            embed.run(conf)
    first = (place / "faces/p0/0.jpg").read_bytes()
    mended.write_bytes(padded(2, 0))
    replace(place / "faces/p0/0.jpg", padded(77, 0))
    with pytest.raises(UserError, match=f"features.bin.partial has features {OTHER_IMAGES}.*among the first 4 rows"):
        embed.run(conf)
    replace(place / "faces/p0/0.jpg", first)
    capsys.readouterr()
    assert embed.run(conf) == embed.run(conf) == 0
    told = capsys.readouterr().out
    assert "4 of 6 rows are there already" in told
    assert "6 of 6 rows are there already" in told


def test_a_later_image_may_be_mended_while_templates_are_summed(place: Path, monkeypatch: pytest.MonkeyPatch):
    ijb_layout.small().write(place / "IJBC")
    mended = place / "IJBC/loose_crop/66.jpg"
    whole = mended.read_bytes()
    embedded: list[int] = []
    inner = pooling._embed
    monkeypatch.setattr(pooling, "_embed", lambda *a: (embedded.append(1), inner(*a))[1])

    def sums() -> int:
        before, faces = len(embedded), read_faces(find_ijb(place / "IJBC"))
        embedder = OnnxNetwork(place / "teacher/network.onnx")
        pool_images(embedder, faces, Pooling(False, True, 16), Bound(place / "sums.npz", "key"), Damage(0), 0.0)
        return len(embedded) - before

    mended.write_bytes(b"torn")
    with pytest.raises(UserError, match=r"66\.jpg"):
        sums()
    mended.write_bytes(whole)
    assert sums() == 1, "the last of five batches"
    replace(place / "IJBC/loose_crop/1.jpg", whole)
    assert (sums(), sums()) == (5, 0)


# results


def test_every_result_names_the_network_by_its_contents(place: Path):
    ijb_layout.small().write(place / "IJBC")
    model, pairs, out = place / "teacher/network.onnx", f"pairs={place / 'pairs.bin'}", f"out={place / 'out'}"
    judged = [f"challenger={model}", f"champion={network(place / 'old', width=5)}", f"judge.anchor={model}"]
    assert verify.run(load("verify", [f"model={model}", pairs, out, "bootstrap=2"])) == 0
    assert ijb.run(load("ijb", [f"model={model}", f"data.root={place / 'IJBC'}", out, "bootstrap=2"])) == 0
    margins = [f"judge.margin.{figure}=0.99" for figure in ("accuracy", "auc", "tpr_at_fpr")]
    judge.run(load("judge", [*judged, pairs, out, "judge.resamples=100", *margins]))
    known, old = network_sha256(model), network_sha256(place / "old/network.onnx")
    said = {
        name: json.loads((place / "out" / f"{name}.json").read_text()) for name in ("verify", "ijbc_verify", "judge")
    }
    assert said["verify"]["model_sha256"] == said["ijbc_verify"]["model_sha256"] == known
    assert [said["judge"][f"{who}_sha256"] for who in ("challenger", "champion", "anchor")] == [known, old, known]
