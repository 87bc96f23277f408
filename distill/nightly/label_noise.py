"""Label noise: which labels of new pictures cannot be right, from the teacher's embeddings. Pure functions.

The similarity of a picture to a person is its mean cosine with that person's pictures, which does not depend on how
many those are. The usual similarity is estimated from the data: from pictures that were vetted earlier, in the first
night from all, with median and median absolute deviation, half of whose values may be wrong (Rousseeuw and Croux, JASA
88, 1993). No label is doubted if pictures are usually more similar to another person than to their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from distill.config.service_jobs import VettingConf
from distill.data.faceset import spread
from distill.types import UNLABELLED

NORMAL = 1.4826
"""A normal distribution's standard deviation in median absolute deviations."""
_SAMPLED = 4096
_CELLS = 1 << 24


@dataclass(frozen=True, eq=False)
class PersonSums:
    """Sums [c d] of the unit embeddings of each person's pictures, and how many [c] these are."""

    sums: np.ndarray
    counts: np.ndarray

    def means(self) -> np.ndarray:
        """Mean embeddings [c d], 0 for a person without pictures."""
        return self.sums / np.maximum(self.counts, 1)[:, None]

    def with_known(self, known: PersonSums) -> PersonSums:
        """The same, but of people who are ``known`` only what is known of them."""
        has = known.counts > 0
        return PersonSums(np.where(has[:, None], known.sums, self.sums), np.where(has, known.counts, self.counts))

    def within(self) -> np.ndarray:
        """Mean cosine between different pictures of each person [c]; NaN with fewer than two."""
        pairs = self.counts * (self.counts - 1.0)
        sums = (self.sums**2).sum(1) - self.counts
        return np.divide(sums, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


@dataclass(frozen=True, eq=False)
class ReferenceStats:
    """What earlier nights know: of all people (zero of new ones), and a sample [m d] of pictures with labels [m]."""

    people: PersonSums
    sample: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Doubt:
    """A picture (row) whose own person is unlike it and another is like it, or a person who is another one."""

    which: int
    other: int
    own_similarity: float
    other_similarity: float


def people_of(embeddings: np.ndarray, labels: np.ndarray, classes: int) -> PersonSums:
    """Sums over unit embeddings [n d] with labels [n]; ``UNLABELLED`` ones count nothing."""
    use = labels != UNLABELLED
    sums = np.zeros((classes, embeddings.shape[1]))
    np.add.at(sums, labels[use], embeddings[use])
    return PersonSums(sums, np.bincount(labels[use], minlength=classes))


def no_reference(classes: int, width: int) -> ReferenceStats:
    """Statistics of the first night: no picture is known yet."""
    return ReferenceStats(
        PersonSums(np.zeros((classes, width)), np.zeros(classes, np.int64)), np.empty((0, width)), np.empty(0, np.int64)
    )


def doubtful_labels(
    embeddings: np.ndarray, labels: np.ndarray, known: ReferenceStats, limits: VettingConf
) -> list[Doubt]:
    """New pictures that are unlike their own person and like another one, in order.

    Unit ``embeddings`` [n d], ``labels`` int64 [n], ``UNLABELLED`` where none is to be judged. A known person is judged
    by what is known, a new one by its other pictures; a wrong label spoils these, so doubted pictures are taken out and
    the others are tested again until no further label is doubted.
    """
    left = labels.copy()
    doubts: dict[int, Doubt] = {}
    while found := _doubts(embeddings, labels, left, known, limits):
        doubts |= {doubt.which: doubt for doubt in found}
        left[[doubt.which for doubt in found]] = UNLABELLED
    return [doubts[row] for row in sorted(doubts)]


def _doubts(
    embeddings: np.ndarray, labels: np.ndarray, left: np.ndarray, known: ReferenceStats, limits: VettingConf
) -> list[Doubt]:
    """One look at the pictures that are still labelled (``left`` [n])."""
    rows = np.flatnonzero(left != UNLABELLED)
    embeddings, labels = embeddings[rows], labels[rows]
    people = people_of(embeddings, labels, len(known.people.counts)).with_known(known.people)
    own = own_similarity(embeddings, labels, people, known.people.counts[labels] == 0)
    old = own_similarity(known.sample, known.labels, known.people, True)
    if np.isfinite(old).sum() >= limits.least:
        least, most = _label_limits(known.sample, known.labels, old, people, limits)
    else:  # nothing has been vetted yet
        least, most = _label_limits(embeddings, labels, own, people, limits)
    low = np.flatnonzero(own < least)
    other, who = nearest_other(embeddings[low], labels[low], people)
    doubted = np.flatnonzero((other > most) & (other > own[low]))
    return [Doubt(int(rows[low[k]]), int(who[k]), float(own[low[k]]), float(other[k])) for k in doubted.tolist()]


def _label_limits(
    embeddings: np.ndarray, labels: np.ndarray, own: np.ndarray, people: PersonSums, limits: VettingConf
) -> tuple[float, float]:
    """Below which similarity ``own`` [n] is unusual, and above which that with the nearest other person is."""
    some = spread(_SAMPLED, len(labels))
    mine, scatter = robust(own)
    theirs, apart = robust(nearest_other(embeddings[some], labels[some], people)[0])
    if np.isfinite(own).sum() < limits.least or mine <= theirs:
        return -np.inf, np.inf
    return mine - limits.own * scatter, theirs + limits.other * apart


def split_people(embeddings: np.ndarray, labels: np.ndarray, known: ReferenceStats, limits: VettingConf) -> list[Doubt]:
    """New people who are as like another person as one's own pictures are like each other, in order of their numbers.

    ``labels`` without those that are doubted. Of two new people the later number is the one that is too many.
    """
    left = labels.copy()
    found: dict[int, Doubt] = {}
    while doubts := _splits(embeddings, left, known, limits):
        found |= doubts
        left[np.isin(left, list(doubts))] = UNLABELLED
    return [found[person] for person in sorted(found)]


def _splits(embeddings: np.ndarray, left: np.ndarray, known: ReferenceStats, limits: VettingConf) -> dict[int, Doubt]:
    """One look at the new people who are still there, by the number of who is too many."""
    old = known.people.counts > 0
    people = people_of(embeddings, left, len(old)).with_known(known.people)
    limit, within, means = _split_limit(people, old, limits), people.within(), people.means()
    fresh = np.flatnonzero((people.counts > 0) & ~old)
    similar, who = nearest_other(means[fresh], fresh, people)
    doubts: dict[int, Doubt] = {}
    for person, other, value in zip(fresh.tolist(), who.tolist(), similar.tolist(), strict=True):
        if value > limit:
            late, early = (person, other) if old[other] else (max(person, other), min(person, other))
            doubts[late] = Doubt(late, early, float(within[late]), value)
    return doubts


def _split_limit(people: PersonSums, old: np.ndarray, limits: VettingConf) -> float:
    """The mean cosine between two people's pictures above which they are one."""
    within, there = people.within(), np.flatnonzero(people.counts > 0)
    usual = np.flatnonzero(old) if old.sum() >= limits.least else there
    usual = usual[spread(_SAMPLED, len(usual))]
    inside, scatter = robust(within)
    between, apart = robust(nearest_other(people.means()[usual], usual, people)[0])
    if np.isfinite(within).sum() < limits.least or inside <= between:
        return np.inf
    return max(inside - limits.split * scatter, between + limits.other * apart)


def own_similarity(
    embeddings: np.ndarray, labels: np.ndarray, people: PersonSums, among: np.ndarray | bool
) -> np.ndarray:
    """Mean cosine of each picture [n] with its own person's pictures; NaN where there are none.

    ``among`` marks pictures [n] that are in the sums themselves; they are subtracted.
    """
    itself = np.broadcast_to(np.asarray(among), labels.shape).astype(np.float64)
    sums = np.einsum("nd,nd->n", embeddings, people.sums[labels]) - itself
    counts = people.counts[labels] - itself
    return np.divide(sums, counts, out=np.full(len(labels), np.nan), where=counts > 0)


def nearest_other(embeddings: np.ndarray, labels: np.ndarray, people: PersonSums) -> tuple[np.ndarray, np.ndarray]:
    """The greatest mean cosine [n] with any person but one's own who has pictures, and that person [n].

    Minus infinity where there is no other person.
    """
    means, absent = people.means(), people.counts == 0
    best, who = np.empty(len(labels)), np.empty(len(labels), np.int64)
    for rows in _stretches(len(labels), len(means)):
        cosines = embeddings[rows] @ means.T
        cosines[:, absent] = -np.inf
        cosines[np.arange(len(cosines)), labels[rows]] = -np.inf
        who[rows] = cosines.argmax(1)
        best[rows] = cosines.max(1)
    return best, who


def robust(values: np.ndarray) -> tuple[float, float]:
    """Median of the finite ones, and the standard deviation that their median absolute deviation stands for."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 0.0
    middle = float(np.median(finite))
    return middle, NORMAL * float(np.median(np.abs(finite - middle)))


def _stretches(rows: int, columns: int) -> Iterator[slice]:
    """Rows so few at a time that their products with all columns stay below ``_CELLS``."""
    step = max(1, _CELLS // max(1, columns))
    return (slice(first, first + step) for first in range(0, rows, step))
