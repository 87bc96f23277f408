"""1:N identification: whether a gallery holds the person of a probe, and under which name.

Definitions: P. J. Phillips, P. Grother and R. Micheals, "Evaluation Methods in Face Recognition", ch. 21 of the
Handbook of Face Recognition, 2nd ed., Springer 2011. At a threshold, the false alarm rate (FAR, FPIR at NIST's FRVT)
is the share of probes of strangers whose best score reaches it; the detection and identification rate (DIR, TPIR) is
the share of probes of enrolled people ("mated") whose own identity has the best score and reaches it. The cumulative
match characteristic (CMC) is the share of mated probes whose identity is among the k best, without a threshold.

An identity scores what the best of its templates scores. Ties count against the network: a rank is one more than the
number of other identities that score at least as high. Probes of equal score are accepted or rejected together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from distill.format import Interval, interval_cell, value_cell
from distill.metrics.bootstrap import Bootstrap

FARS = (1e-1, 1e-2, 1e-3)
RANKS = (1, 5, 10)
_BLOCK_SCORES = 1 << 22  # scores held at once: 34 MB

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Searches:
    """Results of the searches of p probes: ``rank`` int64 [p] of the own identity, 0 for strangers; ``score`` [p].

    ``score`` is that of the own identity for mated probes and the best of all for strangers.
    """

    rank: NDArray[np.int64]
    score: Floats

    @property
    def mated(self) -> NDArray[np.bool_]:
        return self.rank > 0

    def figures(self, weights: Floats | None = None) -> dict[str, float]:
        """CMC at ``RANKS`` and DIR at ``FARS`` by name, with a weight [p] for each probe if given; NaN if undefined."""
        ranks = {f"cmc.{rank}": self.cmc(rank, weights) for rank in RANKS}
        return ranks | {f"dir_at_far.{far:g}": self.dir_at_far(far, weights) for far in FARS}

    def cmc(self, rank: int, weights: Floats | None = None) -> float:
        """Share of mated probes whose identity is among the ``rank`` best; NaN without mated probes."""
        counts = self._counts(weights)
        return _share(counts[self.mated & (self.rank <= rank)].sum(), counts[self.mated].sum())

    def dir_at_far(self, far: float, weights: Floats | None = None) -> float:
        """Largest DIR of all thresholds whose FAR is at most ``far``; NaN without mated probes or without strangers."""
        counts, strangers = self._counts(weights), self.strangers
        alarms = np.cumsum(counts[strangers])
        if not (len(alarms) and alarms[-1]):
            return np.nan
        # 1e-12 as in roc.Curve.tpr_at_fpr
        allowed = far * alarms[-1] * (1 + 1e-12)
        first = int((alarms <= allowed).sum())  # the first stranger that must not raise an alarm
        # accepted is what scores above it; without such a stranger every score is
        bound = float(self.score[strangers[first]]) if first < len(strangers) else -np.inf
        return self._detected(bound, counts)

    def dir_near_far(self, far: float) -> float:
        """DIR above the score of stranger number FAR times strangers, counted from the best, rounded down, at least 1.

        The rule of ``recognition/_evaluation_/ijb`` of deepinsight/insightface, to compare with published figures.
        It allows one false alarm less than the FAR does.
        """
        if not len(self.strangers):
            return np.nan
        last = max(int(len(self.strangers) * far) - 1, 0)
        return self._detected(float(self.score[self.strangers[last]]), self._counts(None))

    @cached_property
    def strangers(self) -> NDArray[np.intp]:
        """Probes of people who are not enrolled, the best score first."""
        rows = np.flatnonzero(~self.mated)
        return rows[np.argsort(-self.score[rows], kind="stable")]

    def _counts(self, weights: Floats | None) -> Floats:
        return np.ones(len(self.rank)) if weights is None else weights

    def _detected(self, bound: float, counts: Floats) -> float:
        found = (self.rank == 1) & (self.score > bound)
        return _share(counts[found].sum(), counts[self.mated].sum())


def search(
    gallery: Floats,
    gallery_subject: Ints,
    probes: Floats,
    probe_subject: Ints,
    progress: Callable[[int], None] | None = None,
) -> Searches:
    """Search each probe, unit vectors [p d], in the gallery's [g d]; subjects are [g] and [p].

    Products are made for a block of probes at a time. ``progress`` is called after every block with its probes.
    """
    assert len(gallery) == len(gallery_subject) > 0
    assert len(probes) == len(probe_subject) > 0
    order = np.argsort(gallery_subject, kind="stable")
    identities, first = np.unique(gallery_subject[order], return_index=True)
    enrolled = gallery[order].T.copy()  # (d, g), templates of an identity adjacent
    found = []
    for rows in np.split(np.arange(len(probes)), range(_block(len(gallery)), len(probes), _block(len(gallery)))):
        # (k, g) -> (k, identities): the best template of each
        scores = np.maximum.reduceat(probes[rows] @ enrolled, first, axis=1)
        found.append(_search_block(scores, identities, probe_subject[rows]))
        if progress is not None:
            progress(len(rows))
    ranks, values = zip(*found, strict=True)
    return Searches(np.concatenate(ranks), np.concatenate(values))


def _block(gallery: int) -> int:
    return max(1, _BLOCK_SCORES // gallery)


def _search_block(scores: Floats, identities: Ints, subject: Ints) -> tuple[NDArray[np.int64], Floats]:
    """Rank and score of some probes from the scores [k i] of the sorted identities [i]."""
    # searchsorted gives len for a subject above all: clamped, then compared
    place = np.minimum(np.searchsorted(identities, subject), len(identities) - 1)
    mated = identities[place] == subject
    own = scores[np.arange(len(subject)), place]
    rank = (scores >= own[:, None]).sum(axis=1)  # >= counts the own identity as 1, and ties against the network
    return np.where(mated, rank, 0), np.where(mated, own, scores.max(axis=1))


@dataclass(frozen=True)
class Identification:
    """Searches of one gallery in figures; keys "0.1" of FARs and "1" of ranks; None where ``missing`` says why."""

    cmc: Mapping[str, float | None]
    dir_at_far: Mapping[str, float | None]
    dir_near_far: Mapping[str, float | None]
    missing: Mapping[str, str]
    intervals: Mapping[str, Interval]
    confidence: float
    resamples: int
    seed: int
    identities: int
    mated: int
    strangers: int

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(quantity, exact value, value by the rule of published code, interval or why it is missing) for a table."""
        rows = [
            (
                f"DIR at FAR {key}",
                value_cell(value),
                value_cell(self.dir_near_far[key]),
                self._note(f"dir_at_far.{key}"),
            )
            for key, value in self.dir_at_far.items()
        ]
        rows += [(f"rank {key}", value_cell(value), "", self._note(f"cmc.{key}")) for key, value in self.cmc.items()]
        searched = f"{self.mated:,} mated, {self.strangers:,} strangers"
        return [*rows, ("probes", f"{self.mated + self.strangers:,}", "", f"{searched}, {self.identities:,} enrolled")]

    def _note(self, key: str) -> str:
        if key in self.missing:
            return self.missing[key]
        interval = self.intervals[key]
        return interval_cell(interval, self.confidence)


def identify(found: Searches, probe_subject: Ints, identities: int, bootstrap: Bootstrap) -> Identification:
    """All figures of a gallery of so many ``identities``; intervals by resampling the subjects [p] of the probes.

    The gallery is fixed: intervals are for other probes of other people, searched in this gallery.
    """
    missing = _missing(found)
    values = {key: None if key in missing else value for key, value in found.figures().items()}
    near = {f"{far:g}": found.dir_near_far(far) for far in FARS}
    return Identification(
        cmc={str(rank): values[f"cmc.{rank}"] for rank in RANKS},
        dir_at_far={f"{far:g}": values[f"dir_at_far.{far:g}"] for far in FARS},
        dir_near_far={key: None if np.isnan(value) else value for key, value in near.items()},
        missing=missing,
        intervals={
            key: None if key in missing else i for key, i in _intervals(found, probe_subject, bootstrap).items()
        },
        confidence=bootstrap.confidence,
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        identities=identities,
        mated=int(found.mated.sum()),
        strangers=len(found.strangers),
    )


def mean(galleries: Sequence[Identification]) -> dict[str, dict[str, float | None]]:
    """Figures over several galleries as they are published: means of DIRs, and ranks over all mated probes together."""
    once, mated = [1] * len(galleries), [gallery.mated for gallery in galleries]
    return {
        "dir_at_far": {key: _mean([g.dir_at_far[key] for g in galleries], once) for key in galleries[0].dir_at_far},
        "dir_near_far": {
            key: _mean([g.dir_near_far[key] for g in galleries], once) for key in galleries[0].dir_near_far
        },
        "cmc": {key: _mean([g.cmc[key] for g in galleries], mated) for key in galleries[0].cmc},
    }


def mean_rows(over: Mapping[str, Mapping[str, float | None]]) -> list[tuple[str, str, str, str]]:
    """``mean`` for a table, in the columns of ``Identification.rows``."""
    exact, near = over["dir_at_far"], over["dir_near_far"]
    rows = [(f"DIR at FAR {key}", value_cell(value), value_cell(near[key]), "") for key, value in exact.items()]
    return rows + [(f"rank {key}", value_cell(value), "", "") for key, value in over["cmc"].items()]


def _mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.average(known, weights=weights)) if len(known) == len(values) else None


def _intervals(found: Searches, subject: Ints, bootstrap: Bootstrap) -> dict[str, Interval]:
    names, number = np.unique(subject, return_inverse=True)
    figures = [found.figures(drawn[number]) for drawn in bootstrap.draws(len(names))]
    return {key: bootstrap.interval(np.array([values[key] for values in figures])) for key in figures[0]}


def _missing(found: Searches) -> dict[str, str]:
    """Why a figure is undefined or unsupported, by its key."""
    strangers = len(found.strangers)
    if not found.mated.any():
        return dict.fromkeys(found.figures(), "no mated probes")
    return {
        f"dir_at_far.{far:g}": f"{strangers} strangers; at least {round(1 / far)} needed"
        for far in FARS
        if strangers * far * (1 + 1e-12) < 1
    }


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else np.nan
