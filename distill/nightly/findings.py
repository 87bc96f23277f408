"""From what freezing and vetting saw to verdicts: which pictures lose their labels, and each finding in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from distill.nightly.frozen import vetted_labels
from distill.nightly.manifest import Manifest
from distill.nightly.verdicts import Finding, Verdicts
from distill.nightly.vetting import Doubt, Known, Limits, doubtful_labels, split_people
from distill.types import UNLABELLED

Doubted = dict[str, set[str]]
"""Names by drop."""


class Looked(NamedTuple):
    """What a teacher sees: what is known of the pictures of earlier nights, and the new ones' embeddings [n d].

    Embeddings are of unit length, and NaN where a picture could not be read.
    """

    known: Known
    new: np.ndarray


def unvetted(manifest: Manifest, before: Verdicts | None) -> Verdicts:
    """What is decided before anybody looks at a picture: what was doubted earlier, and what files say of themselves."""
    doubted = _doubted({} if before is None else before.unlabelled)
    for drop, name in _contradicted(manifest):
        doubted.setdefault(drop, set()).add(name)
    return _verdicts(manifest, doubted, list(_file_findings(manifest)))


def vetted(manifest: Manifest, so_far: Verdicts, looked: Looked, limits: Limits) -> Verdicts:
    """The same with what the teacher doubts of the new pictures."""
    labels = vetted_labels(manifest, so_far)[manifest.known_images :]
    labels = np.where(np.isfinite(looked.new).all(1), labels, UNLABELLED)
    seen = looked._replace(new=np.nan_to_num(looked.new))
    doubted, findings = _doubted(so_far.unlabelled), list(so_far.findings)
    places = [(drop.drop, name) for drop in manifest.drops[manifest.known :] for name in drop.names]
    for finding, rows in _picture_findings(manifest, labels, seen, limits, places):
        findings.append(finding)
        for drop, name in (places[row] for row in rows):
            doubted.setdefault(drop, set()).add(name)
    return _verdicts(manifest, doubted, findings)


def _doubted(unlabelled: Mapping[str, Sequence[str]]) -> Doubted:
    return {drop: set(names) for drop, names in unlabelled.items()}


def _verdicts(manifest: Manifest, doubted: Doubted, findings: list[Finding]) -> Verdicts:
    return Verdicts(manifest.data_sha256(), {drop: sorted(doubted[drop]) for drop in sorted(doubted)}, findings)


def _contradicted(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """(drop, name) of new pictures that came a second time under another person's name: who is right, nobody knows.

    An earlier night's label stands; otherwise one bad drop could take the labels of all good ones.
    """
    fresh = manifest.drops[manifest.known :]
    new = {drop.drop for drop in fresh}
    for drop in fresh:
        for one in drop.left_out:
            if one.reason == "contradiction" and one.twin is not None and one.twin[0] in new:
                yield one.twin


def _file_findings(manifest: Manifest) -> Iterator[Finding]:
    for name in manifest.empty:
        yield Finding.of("empty_drop", name, "", "holds no picture of a person: nothing new")
    for drop in manifest.drops[manifest.known :]:
        for one in drop.left_out:
            yield Finding.of(one.reason, drop.drop, one.name, f"left out: {one.text}")


def _picture_findings(
    manifest: Manifest, labels: np.ndarray, looked: Looked, limits: Limits, places: list[tuple[str, str]]
) -> Iterator[tuple[Finding, list[int]]]:
    """Each finding with the rows of new pictures that lose their labels by it."""
    people = manifest.people
    for doubt in doubtful_labels(looked.new, labels, looked.known, limits):
        drop, name = places[doubt.which]
        told = _doubtful(doubt, people[int(labels[doubt.which])], people[doubt.other])
        yield Finding.of("doubtful_label", drop, name, told), [doubt.which]
        labels[doubt.which] = UNLABELLED
    for doubt in split_people(looked.new, labels, looked.known, limits):
        rows = np.flatnonzero(labels == doubt.which).tolist()
        told = _split(doubt, people[doubt.which], people[doubt.other], len(rows))
        yield Finding.of("split_person", places[rows[0]][0], people[doubt.which], told), rows


def _doubtful(doubt: Doubt, said: str, other: str) -> str:
    return (
        f"used without its label: said to be {said}, but its mean cosine with that person's pictures is "
        f"{doubt.own_similarity:.2f}, and {doubt.other_similarity:.2f} with those of {other}"
    )


def _split(doubt: Doubt, person: str, other: str, pictures: int) -> str:
    return (
        f"{pictures} pictures used without label: {person} is new and looks like {other}: the mean cosine between "
        f"their pictures is {doubt.other_similarity:.2f}"
    )
