"""Vet the new drops of a night with the teacher's stored outputs, read in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.nn.functional import normalize

from distill.config.service_jobs import VettingConf
from distill.data.faceset import spread
from distill.nightly.frozen import parts_of, vetted_labels
from distill.nightly.label_noise import Doubt, PersonSums, ReferenceStats, doubtful_labels, split_people
from distill.nightly.manifest import DataManifest
from distill.nightly.vetting_result import Finding, Verdicts
from distill.signals.store import SignalStore, Store
from distill.types import UNLABELLED

_PIECE_IMAGES = 1 << 14
_SAMPLE_IMAGES = 1 << 14
"""Known pictures that the usual similarity is estimated from."""


def vet(manifest: DataManifest, before: Verdicts | None, stores: Sequence[Path], limits: VettingConf) -> Verdicts:
    """The verdicts on a night's data. ``stores`` are the signals of its drops, in order; without any, only files count.

    ``before`` are those of the last finished night: what they doubt stays without its label.
    """
    so_far = unvetted(manifest, before)
    if not stores or manifest.known_images == len(manifest):
        return so_far
    parts = [Store(folder, part) for folder, part in zip(stores, parts_of(manifest), strict=True)]
    known = [store for store, drop in zip(parts, _used(manifest), strict=True) if drop < manifest.known]
    new = np.concatenate([e for store in parts[len(known) :] for e in _embeddings(store)])
    labels = vetted_labels(manifest, so_far)[: manifest.known_images]
    return vetted(manifest, so_far, TeacherView(_known(known, labels, len(manifest.people), new.shape[1]), new), limits)


def _used(manifest: DataManifest) -> list[int]:
    """The numbers of the drops that have pictures."""
    return [number for number, drop in enumerate(manifest.drops) if len(drop)]


def _known(stores: Sequence[SignalStore], labels: np.ndarray, classes: int, width: int) -> ReferenceStats:
    """Statistics of the labelled pictures of earlier nights: sums by person, and a sample spread over all."""
    sums, counts = np.zeros((classes, width), np.float32), np.zeros(classes, np.int64)
    chosen = np.zeros(len(labels), bool)
    chosen[spread(_SAMPLE_IMAGES, len(labels))] = True
    sample, begin = [np.empty((0, width), np.float32)], 0
    whose = [np.empty(0, np.int64)]
    for embeddings in (piece for store in stores for piece in _embeddings(store)):
        rows = slice(begin, begin + len(embeddings))
        own = np.where(np.isfinite(embeddings).all(1), labels[rows], UNLABELLED)
        use = own != UNLABELLED
        np.add.at(sums, own[use], embeddings[use])
        counts += np.bincount(own[use], minlength=classes)
        some = use & chosen[rows]
        sample.append(embeddings[some])
        whose.append(own[some])
        begin = rows.stop
    return ReferenceStats(PersonSums(sums, counts), np.concatenate(sample), np.concatenate(whose))


def _embeddings(store: SignalStore) -> Iterator[np.ndarray]:
    """Unit sums of the unit embeddings of all views of each image: float32 [n d] a piece; NaN where there is none."""
    for first in range(0, store.manifest.images, _PIECE_IMAGES):
        index = np.arange(first, min(first + _PIECE_IMAGES, store.manifest.images))
        views = [
            normalize(store.rows(index, np.full(len(index), column))["embedding"].float(), dim=1)
            for column in range(store.manifest.columns)
        ]
        yield normalize(sum(views[1:], views[0]), dim=1).numpy()


Doubted = dict[str, set[str]]
"""Names by drop."""


class TeacherView(NamedTuple):
    """The teacher's embeddings: statistics of earlier nights' pictures, and the new pictures' embeddings [n d].

    Embeddings are of unit length, and NaN where a picture could not be read.
    """

    known: ReferenceStats
    new: np.ndarray


def unvetted(manifest: DataManifest, before: Verdicts | None) -> Verdicts:
    """Verdicts without embeddings: labels that were doubted earlier, and findings about files."""
    doubted = _doubted({} if before is None else before.unlabelled)
    for drop, name in _contradicted(manifest):
        doubted.setdefault(drop, set()).add(name)
    return _verdicts(manifest, doubted, list(_file_findings(manifest)))


def vetted(manifest: DataManifest, so_far: Verdicts, view: TeacherView, limits: VettingConf) -> Verdicts:
    """The same with the labels of new pictures that the teacher's outputs contradict."""
    labels = vetted_labels(manifest, so_far)[manifest.known_images :]
    labels = np.where(np.isfinite(view.new).all(1), labels, UNLABELLED)
    seen = view._replace(new=np.nan_to_num(view.new))
    doubted, findings = _doubted(so_far.unlabelled), list(so_far.findings)
    places = [(drop.drop, name) for drop in manifest.drops[manifest.known :] for name in drop.names]
    for finding, rows in _picture_findings(manifest, labels, seen, limits, places):
        findings.append(finding)
        for drop, name in (places[row] for row in rows):
            doubted.setdefault(drop, set()).add(name)
    return _verdicts(manifest, doubted, findings)


def _doubted(unlabelled: Mapping[str, Sequence[str]]) -> Doubted:
    return {drop: set(names) for drop, names in unlabelled.items()}


def _verdicts(manifest: DataManifest, doubted: Doubted, findings: list[Finding]) -> Verdicts:
    return Verdicts(manifest.data_sha256(), {drop: sorted(doubted[drop]) for drop in sorted(doubted)}, findings)


def _contradicted(manifest: DataManifest) -> Iterator[tuple[str, str]]:
    """(drop, name) of new pictures that came again under another person's name: which label is right is unknown.

    An earlier night's label stands; otherwise one bad drop could take the labels of all good ones.
    """
    fresh = manifest.drops[manifest.known :]
    new = {drop.drop for drop in fresh}
    for drop in fresh:
        for one in drop.left_out:
            if one.reason == "contradiction" and one.twin is not None and one.twin[0] in new:
                yield one.twin


def _file_findings(manifest: DataManifest) -> Iterator[Finding]:
    for name in manifest.empty:
        yield Finding.of("empty_drop", name, "", "holds no picture of a person: nothing new")
    for drop in manifest.drops[manifest.known :]:
        for one in drop.left_out:
            yield Finding.of(one.reason, drop.drop, one.name, f"left out: {one.text}")


def _picture_findings(
    manifest: DataManifest, labels: np.ndarray, view: TeacherView, limits: VettingConf, places: list[tuple[str, str]]
) -> Iterator[tuple[Finding, list[int]]]:
    """Each finding with the rows of new pictures that lose their labels by it."""
    people = manifest.people
    for doubt in doubtful_labels(view.new, labels, view.known, limits):
        drop, name = places[doubt.which]
        text = _doubtful(doubt, people[int(labels[doubt.which])], people[doubt.other])
        yield Finding.of("doubtful_label", drop, name, text), [doubt.which]
        labels[doubt.which] = UNLABELLED
    for doubt in split_people(view.new, labels, view.known, limits):
        rows = np.flatnonzero(labels == doubt.which).tolist()
        text = _split(doubt, people[doubt.which], people[doubt.other], len(rows))
        yield Finding.of("split_person", places[rows[0]][0], people[doubt.which], text), rows


def _doubtful(doubt: Doubt, label: str, other: str) -> str:
    return (
        f"used without its label: labelled {label}, but its mean cosine with that person's pictures is "
        f"{doubt.own_similarity:.2f}, and {doubt.other_similarity:.2f} with those of {other}"
    )


def _split(doubt: Doubt, person: str, other: str, pictures: int) -> str:
    return (
        f"{pictures} pictures used without label: {person} is new and looks like {other}: the mean cosine between "
        f"their pictures is {doubt.other_similarity:.2f}"
    )
