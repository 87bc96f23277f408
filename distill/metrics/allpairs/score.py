"""TPR at FPR over all pairs: from faces to numbers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from distill.errors import UserError
from distill.metrics.allpairs.bands import Bands, merged
from distill.metrics.allpairs.block import Scorer
from distill.metrics.allpairs.engine import Engine, shape_for
from distill.metrics.allpairs.exact_score import error_bound
from distill.metrics.allpairs.intervals import (
    KEPT_PAIRS,
    Exact,
    PointInterval,
    Resampler,
    genuine_first,
    impostors_first,
)
from distill.metrics.allpairs.pairing import DISTRACTOR, LabelledFeatures, Pairing
from distill.metrics.allpairs.rescore import IMPOSTOR
from distill.metrics.allpairs.result import AllPairs, Point, RankedScore
from distill.metrics.allpairs.sample import HIGHEST, LOWEST, Tails, sample_tails
from distill.metrics.allpairs.work_folder import Block, WorkFolder, blocks_of
from distill.metrics.allpairs.worker import Keeping
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.roc import unsupported_by
from distill.progress import waiting

FPRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)

SIGMAS = 6.0
"""Standard errors by which a sample's brackets are safe; doubled with every pass that they fail."""

# of the files in a work folder: raise it when their contents change, so that old folders are refused
_FORMAT = 1


@dataclass(frozen=True)
class Settings:
    """FPRs (None: ``FPRS`` and lower decades as far as the pairs support them), intervals (None: none), engine."""

    fprs: Sequence[float] | None = None
    bootstrap: Bootstrap | None = field(default_factory=Bootstrap)
    engine: Engine = field(default_factory=Engine)


def score_all_pairs(
    gallery: LabelledFeatures,
    probes: LabelledFeatures | None = None,
    settings: Settings | None = None,
    work: Path | None = None,
) -> AllPairs:
    """Exact TPR, threshold and accepted pairs at every FPR, over all pairs of one set or of gallery and probes.

    ``work`` is a folder of finished blocks: a killed run continues from it, and processes that are started with the
    same inputs and folder share the blocks, each returning the same result. Without it the blocks are temporary.
    ``UserError`` for rows without direction, shapes that do not fit, FPRs outside of 0..1, or a folder of other inputs.
    """
    settings = settings or Settings()
    pairing = Pairing(gallery, probes)
    fprs = _decades(pairing.impostor) if settings.fprs is None else settings.fprs
    if bad := [fpr for fpr in fprs if not 0 < fpr < 1]:
        raise UserError(f"FPR is {bad[0]}; expected numbers between 0 and 1")
    with _full_float32(), tempfile.TemporaryDirectory() if work is None else nullcontext(work) as folder:
        run = _Run(pairing, settings, WorkFolder(Path(folder), _inputs(pairing, fprs, settings.bootstrap)))
        return run.result(sorted(set(fprs), reverse=True))


def _decades(impostor: int) -> tuple[float, ...]:
    lower = (float(f"1e-{k}") for k in range(len(FPRS) + 1, 19))
    return (*FPRS, *(fpr for fpr in lower if unsupported_by(1, impostor, fpr) is None))


def _inputs(pairing: Pairing, fprs: Sequence[float], bootstrap: Bootstrap | None) -> Mapping[str, object]:
    """Everything that the contents of finished blocks depend on; device, threads and memory do not change them."""
    return {
        "format": _FORMAT,
        "gallery": pairing.gallery.check(),
        "probes": None if pairing.probes is None else pairing.probes.check(),
        "fprs": sorted(set(fprs)),
        "kept_pairs": 0 if bootstrap is None else KEPT_PAIRS,
    }


@contextmanager
def _full_float32() -> Iterator[None]:
    """Products in full float32 (no TF32); restores torch's number of threads, which the pools change globally."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


class _Run:
    """One pairing from the first sample to the result."""

    def __init__(self, pairing: Pairing, settings: Settings, folder: WorkFolder) -> None:
        self._pairing, self._settings, self._folder = pairing, settings, folder
        self._blocks = blocks_of(pairing)
        self._threads = settings.engine.threads or len(os.sched_getaffinity(0))
        self._shape = shape_for(settings.engine, pairing.columns, self._threads)
        self._tails: Tails | None = None
        self._tail_score = LOWEST

    def result(self, fprs: Sequence[float]) -> AllPairs:
        """All points, of descending FPR."""
        pairing = self._pairing
        missing = {fpr: unsupported_by(pairing.genuine, pairing.impostor, fpr) for fpr in fprs}
        supported = [fpr for fpr in fprs if missing[fpr] is None]
        # at most floor(fpr * N) impostors may be accepted: the next one is the threshold. 1e-12: 0.29 * 100 is just
        # below 29 in binary
        ranks = {fpr: 1 + min(int(fpr * pairing.impostor * (1 + 1e-12)), pairing.impostor - 1) for fpr in supported}
        found = self._search(sorted(set(ranks.values())))
        exact = [Exact(fpr, found[ranks[fpr]].impostor, found[ranks[fpr]].threshold) for fpr in supported]
        intervals = self._intervals(exact) if exact else {}
        points = [
            Point.of(fpr, found[ranks[fpr]], pairing.genuine, intervals.get(fpr))
            if fpr in ranks
            else Point(fpr, missing=missing[fpr])
            for fpr in fprs
        ]
        return self._described(points)

    def _described(self, points: Sequence[Point]) -> AllPairs:
        pairing, bootstrap = self._pairing, self._settings.bootstrap
        sides = [pairing.gallery] if pairing.probes is None else [pairing.gallery, pairing.probes]
        identities = np.concatenate([side.identities for side in sides])
        return AllPairs(
            points=tuple(points),
            rows=tuple(len(side) for side in sides),
            columns=pairing.columns,
            identities=len(np.unique(identities[identities != DISTRACTOR])),
            distractors=int((identities == DISTRACTOR).sum()),
            pairs=pairing.pairs,
            genuine=pairing.genuine,
            impostor=pairing.impostor,
            confidence=bootstrap.confidence if bootstrap else None,
            resamples=bootstrap.resamples if bootstrap else 0,
            seed=bootstrap.seed if bootstrap else None,
        )

    def _search(self, ranks: Sequence[int]) -> dict[int, RankedScore]:
        """The impostor pairs of these ranks, 1 for the highest score; one pass unless a sample's bracket fails."""
        found: dict[int, RankedScore] = {}
        turn = 0  # number of the pass: seed of its sample, and part of its files' names
        while todo := [rank for rank in ranks if rank not in found]:
            bands = self._bands(todo, turn)
            self._pass(bands, turn)
            steps = self._folder.steps(turn, self._blocks)
            for rank in todo:
                # a rank lies in one band at most; in none where its bracket failed
                for low, high in zip(bands.low, bands.high, strict=True):
                    if (score := steps.ranked(rank, low, high)) is not None:
                        found[rank] = RankedScore(score, *steps.above(score))
            turn += 1
        return found

    def _bands(self, ranks: Sequence[int], turn: int) -> Bands:
        impostor, margin = self._pairing.impostor, error_bound(self._pairing.columns)
        if impostor <= KEPT_PAIRS:
            return merged([(LOWEST, HIGHEST)], margin)  # few enough to score all of them exactly
        tails = sample_tails(self._pairing, turn, self._threads)
        # twice as wide after each failed pass: it ends for any sample
        ranges = [tails.bracket(rank / impostor, SIGMAS * 2**turn) for rank in ranks]
        if turn == 0:
            self._tails, self._tail_score = tails, tails.score_at(KEPT_PAIRS / impostor)
            # the bootstrap needs exact scores of the highest impostor pairs
            ranges.append((self._tail_score, HIGHEST))
        return merged(ranges, margin)

    def _pass(self, bands: Bands, turn: int) -> None:
        keeping = None
        if turn == 0 and self._settings.bootstrap is not None:
            # twice the estimate: the tail's size comes from a sample
            keeping = Keeping(self._tail_score, 2 * KEPT_PAIRS, min(1.0, KEPT_PAIRS / self._pairing.genuine))
        scorer = Scorer(self._pairing, bands, keeping, self._settings.engine, self._shape)
        what = "scoring pairs" if turn == 0 else f"scoring pairs again ({turn}): a bracket of the sample failed"
        with waiting(what, self._pairing.pairs, "pairs") as progress:

            def advance(block: Block) -> None:
                progress(block.pairs(self._pairing))

            self._folder.finish(turn, self._blocks, scorer.score, advance)

    def _intervals(self, points: Sequence[Exact]) -> dict[float, PointInterval]:
        """Intervals of the points, by FPR."""
        if self._settings.bootstrap is None:
            return {}
        # only the first pass keeps pairs
        kept = [self._folder.kept(0, block) for block in self._blocks]
        genuine, tail = (np.concatenate([some[some["genuine"] == kind] for some in kept]) for kind in (True, False))
        left, right = self._pairing.persons
        certain = genuine_first(genuine["score"], left[genuine["left"]])
        resampler = Resampler(self._pairing, certain, self._settings.bootstrap, self._threads)
        reached = self._folder.steps(0, self._blocks).reached(self._tail_score)[IMPOSTOR]
        highest = impostors_first(tail["score"], left[tail["left"]], right[tail["right"]])
        ascending = sorted(points, key=lambda point: point.fpr)
        # the tail is complete only if no block had to drop pairs beyond its limit
        found = resampler.intervals(ascending, highest if reached == len(tail) else None, self._tails)
        return {point.fpr: interval for point, interval in zip(ascending, found, strict=True)}
