"""Templates, sets of images of one person, and their verification: the 1:1 protocol of IJB-B and IJB-C.

A template's feature is the sum over its media of the mean over each medium's images, so that a video of a hundred
frames weighs as much as a photograph (Crosswhite et al., "Template adaptation for face verification and
identification", arXiv 1603.03958). Each image's feature, f(x) + f(mirrored x) as it comes out of the network, counts
times the detector's score: length and score are both small where a face is barely one. Source of the details:
``recognition/arcface_torch/eval_ijbc.py`` of deepinsight/insightface.

Sum of means and scores are one weighted sum. It is added up image by image, in any order, and no image's feature is
stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from distill.format import Interval, interval_cell, value_cell
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.embedding import unit_vectors
from distill.metrics.roc import curve, unsupported

FPRS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_BLOCK_PAIRS = 4096  # two blocks of 512 float64 each take 17 MB

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]


def image_weights(template: Ints, medium: Ints, score: Floats) -> Floats:
    """Weight of each image in its template [n]: its ``score`` over the images of its medium in that template."""
    _, place, images = np.unique(np.stack([template, medium]), axis=1, return_inverse=True, return_counts=True)
    # NumPy 2.0 gave the inverse two axes
    return score / images[place.reshape(-1)]


def add_images(sums: Floats, rows: Ints, features: NDArray[np.floating], weights: Floats) -> None:
    """Add features [k d] times weights [k] to their templates, ``rows`` [k] of ``sums`` [t d], in place."""
    # not `sums[rows] +=`, which would add only one of several images of a template
    np.add.at(sums, rows, features * weights[:, None])


def template_features(sums: Floats) -> Floats:
    """Unit vectors [t d]; ``UserError`` names the first template whose images cancel or have no score."""
    return unit_vectors(sums, "templates")


def pair_scores(features: Floats, left: Ints, right: Ints, progress: Callable[[int], None] | None = None) -> Floats:
    """Cosines [p] of pairs of unit vectors, rows [p] of ``features`` [t d], in blocks of bounded memory.

    ``progress`` is called after every block with its number of pairs.
    """
    scores = np.empty(len(left))
    for start in range(0, len(left), _BLOCK_PAIRS):
        block = slice(start, start + _BLOCK_PAIRS)
        np.einsum("pd,pd->p", features[left[block]], features[right[block]], out=scores[block])
        if progress is not None:
            progress(len(scores[block]))
    return scores


@dataclass(frozen=True)
class TemplateVerification:
    """TPR at fixed FPRs, by the keys "1e-06" to "0.1"; None where ``missing`` says why.

    ``tpr_at_fpr`` is the exact largest TPR at an FPR of at most so much. ``tpr_near_fpr`` is what published code
    prints, to compare with published figures: that of the ROC point nearest to the FPR, which may be above it.
    """

    auc: float | None
    tpr_at_fpr: Mapping[str, float | None]
    tpr_near_fpr: Mapping[str, float | None]
    missing: Mapping[str, str]
    intervals: Mapping[str, Interval]
    over: str
    confidence: float
    resamples: int
    seed: int
    pairs: int
    genuine: int
    impostor: int

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(quantity, exact value, value by the rule of published code, interval or why it is missing) for a table."""
        rows = [
            (
                f"TPR at FPR {key}",
                value_cell(value),
                value_cell(self.tpr_near_fpr[key]),
                self.missing.get(key) or self._range(key),
            )
            for key, value in self.tpr_at_fpr.items()
        ]
        rows.append(("ROC AUC", value_cell(self.auc), "", ""))
        rows.append(("pairs", f"{self.pairs:,}", "", f"{self.genuine:,} genuine, {self.impostor:,} impostor"))
        return rows

    def _range(self, key: str) -> str:
        interval = self.intervals.get(key)
        return self.over if interval is None else interval_cell(interval, self.confidence)


def verify_templates(scores: Floats, same: Bools, persons: Ints | None, bootstrap: Bootstrap) -> TemplateVerification:
    """Both TPRs from the scores [p] of pairs; intervals by resampling ``persons`` [p 2] where they are known."""
    roc = curve(scores, same)
    keys = {f"{fpr:g}": fpr for fpr in FPRS}
    missing = {key: reason for key, fpr in keys.items() if (reason := unsupported(same, fpr))}
    exact = {key: None if key in missing else float(roc.tpr_at_fpr(fpr)[0]) for key, fpr in keys.items()}
    near = {key: _defined(roc.tpr_near_fpr(fpr)) for key, fpr in keys.items()}
    area = _defined(float(roc.auc()[0]))
    del roc  # 0.25 GB for IJB-C, before the bootstrap needs as much
    supported = [key for key in keys if key not in missing]
    intervals = {}
    if persons is not None and supported:
        values = resampled_tprs(scores, same, persons, [keys[key] for key in supported], bootstrap)
        intervals = dict(zip(supported, map(bootstrap.interval, values.T), strict=True))
    return TemplateVerification(
        auc=area,
        tpr_at_fpr=exact,
        tpr_near_fpr=near,
        missing=missing,
        intervals=intervals,
        over="persons unknown" if persons is None else "persons",
        confidence=bootstrap.confidence,
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        pairs=len(same),
        genuine=int(same.sum()),
        impostor=int((~same).sum()),
    )


def resampled_tprs(scores: Floats, same: Bools, persons: Ints, fprs: Sequence[float], bootstrap: Bootstrap) -> Floats:
    """Exact TPRs [r k] at FPRs [k] of all resamples of persons, sorting the pairs once and holding one resample.

    ``persons`` [p 2] are numbered from 0 without a gap. A resample rejects just the pairs that score no higher than
    the first impostor whose weight exceeds what the FPR allows: the same as ``Curve.tpr_at_fpr`` with the weights of
    ``Bootstrap.weights``.
    """
    impostors, genuine = (_falling(scores, np.flatnonzero(kind)) for kind in (~same, same))
    # -inf: the bound where all impostors may be accepted; `rise` ascends, as searchsorted needs
    fall, rise = np.r_[scores[impostors], -np.inf], -scores[genuine]
    people = int(persons.max()) + 1
    sides = [_sides(persons[rows], people) for rows in (impostors, genuine)]
    rates = np.full((bootstrap.resamples, len(fprs)), np.nan)
    for row, drawn in enumerate(bootstrap.draws(people)):
        accepted, matched = (_running_weight(drawn, *both) for both in sides)
        if not (accepted[-1] and matched[-1]):
            continue
        allowed = np.array(fprs) * accepted[-1] * (1 + 1e-12)
        # ``accepted`` begins with 0 for no impostor, so the place is that of the first impostor too many
        bound = fall[np.searchsorted(accepted, allowed, side="right") - 1]
        # genuine pairs that score more than the bound
        rates[row] = matched[np.searchsorted(rise, -bound, side="left")] / matched[-1]
    return rates


def _sides(persons: Ints, people: int) -> tuple[Ints, Ints]:
    """Both persons of each pair [p], the second replaced by ``people`` where it is the first again."""
    left, right = persons.astype(np.int32).T.copy()
    return left, np.where(left == right, np.int32(people), right)


def _running_weight(drawn: Floats, left: Ints, right: Ints) -> NDArray[np.int64]:
    """How many pairs, counted as often as both persons were drawn, come before each place [p+1]."""
    # the last entry, 1, is the second person of genuine pairs: they count once per draw
    times = np.r_[drawn, 1].astype(np.int32)
    weights = times[left]
    # in place: one int32 array of all pairs instead of two
    weights *= times[right]
    return np.concatenate([[0], np.cumsum(weights, dtype=np.int64)])


def _falling(scores: Floats, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows in the order of falling scores."""
    return rows[np.argsort(-scores[rows], kind="stable")]


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
