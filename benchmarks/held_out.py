"""Held-out people, frames made of their pictures, and the outputs of networks for these frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from frames import frame
from fused_videos import POOL, Embedded
from torch import Tensor

from distill.config.build import build
from distill.config.compose import read_config
from distill.config.training_jobs import DistillConf
from distill.data.decode import decode
from distill.data.recordio import RecordIOSet
from distill.data.records import RecordWriter
from distill.data.synth.nuisance import FULL
from distill.data.synth.render import Sitter
from distill.data.synth.streams import Key, Split
from distill.progress import waiting
from distill.runs.assemble import STUDENT_INPUT
from distill.students.quality import WithQuality
from teachers.onnx_network import OnnxNetwork
from teachers.weights import load_into, read_weights

SEED = 2019
SYNTHETIC_PICTURES = 4


class Album(NamedTuple):
    """One person's pictures, RGB uint8 [112 112 3] each, in two halves that share none."""

    first: list[np.ndarray]
    second: list[np.ndarray]


def hold_out(source: Path, target: Path, people: int) -> Path:
    """Write ``target/train`` and ``target/held_out``, both RecordIO, of those with the most pictures hold out some."""
    if (target / "held_out" / "property").exists():  # written last
        return target / "held_out"
    faces = RecordIOSet(source)
    counts = np.bincount(faces.labels, minlength=faces.classes)
    order = np.random.default_rng(SEED).permutation(faces.classes)
    chosen = order[np.argsort(-np.minimum(counts[order], 4), kind="stable")][:people]
    kept = np.setdiff1d(np.arange(faces.classes), chosen)
    for name, labels in (("train", kept), ("held_out", chosen)):
        (target / name).mkdir(parents=True, exist_ok=True)
        writer = RecordWriter(target / name)
        for label in labels.tolist():
            writer.person(faces.read(row) for row in np.flatnonzero(faces.labels == label).tolist())
        writer.close()
    return target / "held_out"


def albums(folder: Path) -> list[Album]:
    """The people of a RecordIO folder, in its order."""
    faces = RecordIOSet(folder)
    people = ([decode(faces.read(r)) for r in np.flatnonzero(faces.labels == k).tolist()] for k in range(faces.classes))
    return [Album(pictures[::2], pictures[1::2]) for pictures in people]


def synthetic_albums(people: int) -> list[Album]:
    """People who do not exist, of the test split, in pictures of full strength."""
    found = []
    for number in range(people):
        sitter = Sitter(Key(SEED, Split.test, number))
        pictures = [decode(sitter.picture(k, FULL)) for k in range(SYNTHETIC_PICTURES)]
        found.append(Album(pictures[::2], pictures[1::2]))
    return found


def embedded(people: list[Album], runs: Mapping[str, Path], teacher: Path, folder: Path) -> dict[str, Embedded]:
    """Every network on the same frames; ``folder`` holds what was computed before."""
    box = kept(folder / "teacher.npz", people, lambda: by_teacher(teacher))
    student = kept(folder / "student.npz", people, lambda: by_student(runs["head"]))
    separate = kept(folder / "separate.npz", people, lambda: by_separate(runs["frame_quality"]))["quality"]
    return {
        "student": Embedded(student["frames"], separate, student["kappa"]),
        "reference teacher": Embedded(box["frames"], separate, None),
    }


Answers = dict[str, np.ndarray]
Look = Callable[[Tensor], Answers]


def by_teacher(path: Path) -> Look:
    """A black box's embeddings."""
    network = OnnxNetwork(path)
    return lambda images: {"frames": network.embed(images).numpy()}


def by_student(run: Path) -> Look:
    """The embeddings of a run's recogniser without its head, and the head's outputs."""
    network = _network(run)

    def look(images: Tensor) -> Answers:
        crops = STUDENT_INPUT(images).contiguous(memory_format=torch.channels_last)
        seen = network.recogniser.forward_maps(crops)
        return {"frames": seen.embedding.numpy(), "kappa": network.quality(crops, seen.maps)[:, 0].numpy()}

    return look


def by_separate(run: Path) -> Look:
    """Outputs of the separate network of a run."""
    network = _network(run)
    return lambda images: {"quality": network.quality(STUDENT_INPUT(images), {})[:, 0].numpy()}


def kept(path: Path, people: list[Album], make: Callable[[], Look]) -> Answers:
    """The answers [n 2 POOL ...] for all frames of all people, computed where ``path`` does not hold them yet."""
    if not path.exists():
        look, found = make(), []
        with waiting(str(path), len(people), "people") as progress, torch.inference_mode():
            for number in range(len(people)):
                images = torch.from_numpy(pool(people, number)).permute(0, 3, 1, 2)
                found.append(look(images))
                progress(1)
        arrays = {name: np.stack([answers[name] for answers in found]) for name in found[0]}
        shaped = {name: a.reshape(len(people), 2, len(POOL), *a.shape[2:]) for name, a in arrays.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **shaped)  # pyright: ignore[reportArgumentType]
        partial.rename(path)
    with np.load(path) as arrays:
        return dict(arrays)


def pool(people: list[Album], number: int) -> np.ndarray:
    """The frames of one person, [2 * POOL 112 112 3]: those of the first half of the pictures, then of the second."""
    cover = people[(number + 1) % len(people)].first[0]
    found = []
    for half, pictures in enumerate(people[number]):
        for slot, (kind, turn) in enumerate(POOL):
            rng = np.random.default_rng([SEED, number, half, slot])
            found.append(frame(pictures[turn % len(pictures)], kind, rng, cover))
    return np.stack(found)


def _network(run: Path) -> WithQuality:
    """The trained network of a run."""
    network = build(read_config(run / "config.yaml", DistillConf).student.network, "student.network")
    load_into(network, read_weights(run / "student.safetensors"))
    assert isinstance(network, WithQuality)
    return network.eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
