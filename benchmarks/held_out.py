"""People whom nothing is trained on, the frames that are made of their pictures, and what networks say of these."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from frames import KINDS, frame
from fused_videos import POOL, Embedded

from distill.data.decode import decode
from distill.data.record_writer import RecordWriter
from distill.data.recordio import RecordIOSet
from distill.data.synth.circumstances import FULL
from distill.data.synth.picture import Sitter
from distill.data.synth.streams import Key, Split
from distill.jobs.build import build
from distill.jobs.compose import read_config
from distill.jobs.recipe import STUDENT_INPUT
from distill.jobs.schema import DistillConf
from distill.students.quality import WithQuality
from distill.waiting import waiting
from teachers.onnx_network import OnnxNetwork
from teachers.weights import load_into, read_weights

SEED = 2019
SYNTHETIC_PICTURES = 4
BATCH = 40


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


def embedded(people: list[Album], runs: Mapping[str, Path], teacher: Path, kept: Path) -> dict[str, Embedded]:
    """Every network on the same pool of frames; ``kept`` is a file that holds what was computed before."""
    if not kept.exists():
        _embed(people, runs, teacher, kept)
    with np.load(kept) as arrays:
        separate = arrays["separate"]
        return {
            "student": Embedded(arrays["student"], separate, arrays["kappa"]),
            "reference teacher": Embedded(arrays["teacher"], separate, None),
        }


def _embed(people: list[Album], runs: Mapping[str, Path], teacher: Path, kept: Path) -> None:
    student, beside = _network(runs["student"]), _network(runs["frame_quality"])
    black_box = OnnxNetwork(teacher)
    rows: dict[str, list[np.ndarray]] = {"student": [], "kappa": [], "separate": [], "teacher": []}
    total = 2 * len(people) * len(KINDS) * POOL
    with waiting("embedding frames", total, "frames") as progress:
        for number in range(len(people)):
            images = torch.from_numpy(pool(people, number)).permute(0, 3, 1, 2)
            for batch in images.split(BATCH):
                crops = STUDENT_INPUT(batch).contiguous(memory_format=torch.channels_last)
                with torch.inference_mode():
                    seen = student.recogniser.forward_maps(crops)
                    rows["student"].append(seen.embedding.numpy())
                    rows["kappa"].append(student.quality(crops, seen.maps)[:, 0].numpy())
                    rows["separate"].append(beside.quality(crops, {})[:, 0].numpy())
                    rows["teacher"].append(black_box.embed(batch).numpy())
                progress(len(batch))
    shape = (len(people), 2, len(KINDS), POOL)
    arrays = {name: np.concatenate(found) for name, found in rows.items()}
    partial = kept.with_suffix(".partial.npz")
    np.savez(partial, **{name: a.reshape(*shape, *a.shape[1:]) for name, a in arrays.items()})  # pyright: ignore
    partial.rename(kept)


def pool(people: list[Album], number: int) -> np.ndarray:
    """The frames of one person: [2 * kinds * POOL 112 112 3], by half, kind and number."""
    cover = people[(number + 1) % len(people)].first[0]
    found = []
    for half, pictures in enumerate(people[number]):
        for kind_number, kind in enumerate(KINDS):
            for k in range(POOL):
                rng = np.random.default_rng([SEED, number, half, kind_number, k])
                found.append(frame(pictures[k % len(pictures)], kind, rng, cover))
    return np.stack(found)


def _network(run: Path) -> WithQuality:
    """The trained network of a run."""
    network = build(read_config(run / "config.yaml", DistillConf).student.network, "student.network")
    load_into(network, read_weights(run / "student.safetensors"))
    assert isinstance(network, WithQuality)
    return network.eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
