"""The frames of a video to one template: pure functions of the frames' embeddings [f d] and weights [f].

Mean and norm are the two rules without parameters: the first is that of the LFR 2019 challenge
(``gen_video_feature.py``), the second the sum of the embeddings as they are, which for lengths that are concentrations
is the likeliest direction of von Mises-Fisher samples (SCF, Li et al., CVPR 2021). Both are running sums: a video can be
summed in pieces of any size with ``weighted_sum`` and closed with ``template``.

Consensus is about the set, which no weight of a single frame can know: a sharp frame of somebody else. Each frame is
compared with the template of the others, and what disagrees loses weight; iteratively reweighted means are the standard
form of robust estimates (Holland and Welsch, Communications in Statistics A6, 1977). The weight that falls to zero for
a disagreeing frame (a redescending one) is ours, as is its reference: the agreement of the video's better half. Clean
frames so keep their weights whatever level of agreement the network, or the video, has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.metrics.embedding import unit_vectors
from distill.types import UserError

Floats = NDArray[np.float64]

SHARPNESS = 2.0
"""Power of a frame's relative agreement."""
ROUNDS = 5


def weighted_sum(frames: NDArray[np.floating], weights: NDArray[np.floating] | None = None) -> Floats:
    """Sum [d] of the unit vectors of frames [f d], each times its weight [f] or 1; sums of pieces add up."""
    directions = unit_vectors(frames, "frames")
    return directions.sum(axis=0) if weights is None else _checked(weights, len(frames)) @ directions


def template(total: Floats) -> Floats:
    """The unit vector of a sum [d]; ``UserError`` where frames and weights cancel each other out."""
    return unit_vectors(total[None], "template")[0]


def mean_template(frames: NDArray[np.floating]) -> Floats:
    """All frames [f d] alike: the challenge's rule, [d]."""
    return template(weighted_sum(frames))


def norm_template(frames: NDArray[np.floating]) -> Floats:
    """Frames [f d] as long as they are: for a student with a quality head these are its learned weights, [d]."""
    return template(weighted_sum(frames, lengths(frames)))


def weighted_template(frames: NDArray[np.floating], weights: NDArray[np.floating]) -> Floats:
    """Directions of frames [f d] with weights [f] from elsewhere, such as a separate network, [d]."""
    return template(weighted_sum(frames, weights))


def consensus_template(frames: NDArray[np.floating], weights: NDArray[np.floating] | None = None) -> Floats:
    """Frames [f d] by their weights [f], or alike, and by how far they agree with the others, [d]."""
    return template(weighted_sum(frames, consensus_weights(frames, weights)))


def lengths(frames: NDArray[np.floating]) -> Floats:
    """Lengths [f] of frames [f d], in float64."""
    return np.sqrt((np.asarray(frames, np.float64) ** 2).sum(axis=1))


def consensus_weights(
    frames: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    sharpness: float = SHARPNESS,
    rounds: int = ROUNDS,
) -> Floats:
    """Weights [f] for frames [f d]: those given, or 1, times the relative agreement to the power of ``sharpness``.

    Agreement is the cosine to the weighted sum of the other frames, 0 where that is negative, and relative to its
    weighted median, 1 above. Two frames agree with each other alike, so one or two keep their weights. O(f d) a round.
    """
    directions = unit_vectors(frames, "frames")
    start = np.ones(len(frames)) if weights is None else _checked(weights, len(frames))
    current = start
    for _ in range(rounds if len(frames) > 2 else 0):
        agreement = np.maximum(leave_one_out_cosines(directions, current), 0)
        reference = _weighted_median(agreement, start)
        if reference == 0:  # most frames have nothing in common: there is no consensus to follow
            return start
        current = start * np.minimum(agreement / reference, 1) ** sharpness
    return current


def leave_one_out_cosines(directions: Floats, weights: Floats) -> Floats:
    """Cosine [f] of each unit vector [f d] with the weighted sum of all others; 0 where these cancel out."""
    total = weights @ directions
    along = directions @ total - weights
    length = np.sqrt(np.maximum(total @ total - 2 * weights * (along + weights) + weights**2, 0))
    return np.divide(along, length, out=np.zeros_like(along), where=length > 1e-9)


def _weighted_median(values: Floats, weights: Floats) -> float:
    """The smallest value up to which half of all weight lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _checked(weights: NDArray[np.floating], frames: int) -> Floats:
    weights = np.asarray(weights, np.float64)
    if weights.shape != (frames,):
        raise UserError(f"frame weights have shape {list(weights.shape)}; expected one for each of {frames} frames")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise UserError(f"frame weight {bad[0]} is {weights[bad[0]]}; expected a finite number of at least 0")
    return weights
