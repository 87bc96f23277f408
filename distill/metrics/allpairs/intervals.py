"""Confidence intervals of TPR at FPR by resampling persons, from far fewer pairs than there are.

A resample draws persons with replacement; a genuine pair counts as often as its person was drawn, an impostor pair as
often as the product of its two persons' draws (``distill/metrics/bootstrap.py``). The weight of all impostor pairs
follows from the persons' numbers of rows, and with it how much impostor weight an FPR allows. Which threshold that is
needs only the impostor pairs that score highest:

- **all**: with at most ``KEPT_PAIRS`` or so of them kept, a point whose allowance is used up within these, in every
  resample, is resampled exactly;
- **sample**: other points, where FPR times pairs is large, take a random sample of impostor pairs, denser towards high
  scores, scaled so that its threshold without resampling is the exact one.

Genuine pairs beyond ``KEPT_PAIRS`` are thinned by a hash of their rows. Sampling and thinning are the only
approximations; both concern the interval and never the TPR itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distill.compiled import compiled
from distill.format import Interval
from distill.metrics.allpairs.pairing import Pairing
from distill.metrics.allpairs.sample import DENSITY, LOWEST, Tails, sample_blocks
from distill.metrics.bootstrap import CHUNK_ELEMENTS, CHUNK_ROWS, Bootstrap, draw

KEPT_PAIRS = 1 << 20
"""Impostor pairs, and genuine pairs, that are kept with their persons."""

_SAMPLED_PAIRS = 1 << 17
_DENSITY = 2  # of DENSITY's 8: intervals need fewer pairs than brackets
_SAMPLE_SEED = 1 << 20  # passes use seeds 0, 1, ...


class Genuine(NamedTuple):
    """Genuine pairs, the highest score first, with their persons [k]."""

    score: NDArray[np.float64]
    person: NDArray[np.int32]


class Impostors(NamedTuple):
    """Impostor pairs, the highest score first: persons of both sides [k], and how many pairs each stands for."""

    score: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    times: NDArray[np.float32]


class Exact(NamedTuple):
    """An exact point of the complete set: its FPR, the impostor pairs accepted, and the first score that is not."""

    fpr: float
    accepted: int
    threshold: float


def genuine_first(score: NDArray[np.float64], person: NDArray[np.int32]) -> Genuine:
    """Sorted by descending score."""
    order = np.argsort(-score, kind="stable")
    return Genuine(score[order], person[order])


def impostors_first(score: NDArray, left: NDArray, right: NDArray, times: NDArray | None = None) -> Impostors:
    """Sorted by descending score; each counts once without ``times``."""
    order = np.argsort(-score, kind="stable")
    times = np.ones(len(score), np.float32) if times is None else times[order]
    return Impostors(score[order], left[order], right[order], times)


def sample_impostors(pairing: Pairing, fprs: Sequence[float], tails: Tails, threads: int) -> Impostors:
    """A sample of the impostor pairs for thresholds around these FPRs, about as many pairs for each."""
    # (zones), falling: all pairs, then the top share 3 * fpr of each point, so that a resampled threshold stays inside
    shares = np.array([1.0, *sorted((min(1.0, 3 * fpr) for fpr in fprs), reverse=True)])
    # (zones - 1), rising: from this score on a pair is in the next zone
    cuts = np.array([tails.score_at(share) for share in shares[1:]])
    # the tails were sampled at DENSITY, the blocks below at _DENSITY: expected pairs of a zone are in this ratio
    chances = np.minimum(1, _SAMPLED_PAIRS / (tails.pairs * _DENSITY / DENSITY * shares))
    found: list[Impostors] = []
    for number, block in enumerate(sample_blocks(pairing, _SAMPLE_SEED, threads, _DENSITY)):
        chance = chances[np.searchsorted(cuts, block.scores, "right")]  # (r, r)
        drawn = np.random.default_rng((_SAMPLE_SEED, number)).random(chance.shape) < chance
        # genuine pairs have score -inf
        i, j = np.nonzero(drawn & (block.scores > LOWEST))
        found.append(
            # each stands for 1 / chance pairs (Horvitz-Thompson), which keeps sums unbiased
            Impostors(block.scores[i, j], block.left[i], block.right[j], (1 / chance[i, j]).astype(np.float32))
        )
    return impostors_first(*(np.concatenate(values) for values in zip(*found, strict=True)))


@dataclass(frozen=True)
class PointInterval:
    """An interval of TPR, None where no resample defines it, and what it was made from: "all" or "sample"."""

    interval: Interval
    evidence: str


class Resampler:
    """Draws the same resamples of persons for every query."""

    def __init__(self, pairing: Pairing, genuine: Genuine, bootstrap: Bootstrap, threads: int) -> None:
        self._pairing, self._genuine, self._bootstrap, self._threads = pairing, genuine, bootstrap, threads

    def intervals(self, points: Sequence[Exact], highest: Impostors | None, tails: Tails | None) -> list[PointInterval]:
        """An interval for each point of ascending FPR.

        ``highest`` are all impostor pairs from some score on, None where they are too many. ``tails`` guide the
        sampling; without them ``highest`` holds every impostor pair.
        """
        found = self._from_all(points, highest, tails is None) if highest is not None else {}
        short = [point for point in points if point.fpr not in found]
        if short:
            assert tails is not None
            sample = sample_impostors(self._pairing, [point.fpr for point in short], tails, self._threads)
            rates, _ = self._tpr(short, [_scale(self._pairing, point, sample) for point in short], sample)
            for point, values in zip(short, rates.T, strict=True):
                found[point.fpr] = PointInterval(self._bootstrap.interval(values), "sample")
        return [found[point.fpr] for point in points]

    def _from_all(self, points: Sequence[Exact], highest: Impostors, complete: bool) -> dict[float, PointInterval]:
        """The points whose allowance is used up within ``highest`` in every resample."""
        # a point that accepts more pairs than are kept cannot be found among them
        hopeful = [point for point in points if complete or point.accepted < len(highest.score)]
        if not hopeful:
            return {}
        rates, reached = self._tpr(hopeful, [1.0] * len(hopeful), highest)
        return {
            point.fpr: PointInterval(self._bootstrap.interval(values), "all")
            for point, values, certain in zip(hopeful, rates.T, np.atleast_1d(reached.all(axis=0)), strict=True)
            if complete or certain
        }

    def _tpr(
        self, points: Sequence[Exact], scales: Sequence[float], impostors: Impostors
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """TPR of every resample [r k], NaN where undefined, and where the impostors went far enough."""
        # (k); 1e-12 as in roc
        allowance = np.array([point.fpr * scale for point, scale in zip(points, scales, strict=True)]) * (1 + 1e-12)
        rates, reached = [], []
        with ThreadPoolExecutor(self._threads) as pool:
            for drawn in self._draws():
                limits = allowance * self._pairing.impostor_weight(drawn)[:, None]  # (r, k)
                # by resamples: threads share no sum, so their number changes no bit
                parts = [np.array_split(x, self._threads) for x in (drawn.astype(np.float32), limits)]
                for rate, reach in pool.map(lambda w, limit: _rates(w, limit, impostors, self._genuine), *parts):
                    rates.append(rate)
                    reached.append(reach)
        return np.concatenate(rates), np.concatenate(reached)

    def _draws(self) -> Iterator[NDArray[np.float64]]:
        persons = len(self._pairing.rows_of_persons[0])
        rng = np.random.default_rng(self._bootstrap.seed)
        chunk = max(1, min(CHUNK_ROWS, CHUNK_ELEMENTS // persons))
        for start in range(0, self._bootstrap.resamples, chunk):
            yield draw(rng, min(chunk, self._bootstrap.resamples - start), persons)


def _scale(pairing: Pairing, point: Exact, impostors: Impostors) -> float:
    """Weight of the sample per pair of the complete set, measured above the point's exact threshold."""
    above = float(impostors.times[impostors.score > point.threshold].sum(dtype=np.float64))
    if above and point.accepted:
        return above / point.accepted
    return float(impostors.times.sum(dtype=np.float64)) / pairing.impostor


@compiled
def _rates(weights, limits, impostors, genuine):
    """TPR [r k] for numbers of draws [r persons] and allowed impostor weights [r k], ascending in k; and where the
    impostors exceed the limit."""
    points = limits.shape[1]
    rates = np.full(limits.shape, np.nan)
    reached = np.zeros(limits.shape, np.bool_)
    thresholds = np.empty(points)
    for r in range(limits.shape[0]):
        accepted, known = 0.0, 0
        for i in range(len(impostors.score)):
            # float32 holds the product of two draws exactly; the sum needs float64
            drawn = weights[r, impostors.left[i]] * weights[r, impostors.right[i]]
            accepted += np.float64(impostors.times[i]) * np.float64(drawn)
            while known < points and accepted > limits[r, known]:
                thresholds[known] = impostors.score[i]  # rejected, with all pairs of the same score
                reached[r, known] = True  # the kept pairs exceed the allowance, so this threshold is exact
                known += 1
            if known == points:
                break
        right, k = 0.0, 0
        for i in range(len(genuine.score)):
            while k < known and genuine.score[i] <= thresholds[k]:
                rates[r, k] = right  # weight of the genuine pairs above the threshold
                k += 1
            right += np.float64(weights[r, genuine.person[i]])
        # thresholds below every genuine pair accept all of them
        rates[r, k:known] = right
        for k in range(known):
            rates[r, k] = rates[r, k] / right if right > 0 else np.nan
    return rates, reached
