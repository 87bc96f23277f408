"""Fusion of a video's frames where they do not count alike: weights from elsewhere, and what the frames say together.

``distill/metrics/frames.py`` has the sums that weights go into. They are running sums, and so is a weighted template
whose weights come with each frame: a student's lengths or a separate network's word.

Consensus is about the set, which no weight of a single frame can know: a sharp frame of somebody else. Each frame is
compared with the template of the others, and what disagrees loses weight; iteratively reweighted means are the standard
form of robust estimates (Holland and Welsch, Communications in Statistics A6, 1977). That a frame loses all of it where
it disagrees (a redescending weight) is our choice, as is the scale: the agreement of the video's better half. Clean
frames so keep their weights, whatever level of agreement the network or the video has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.metrics.embedding import unit_vectors
from distill.metrics.frames import equal_weights, weighted_sum
from distill.types import UserError

Floats = NDArray[np.float64]

SHARPNESS = 2.0
"""Power of a frame's relative agreement."""
ROUNDS = 5
"""Rounds of reweighting; three are nearly the end of it."""


def weighted_template(embeddings: NDArray[np.floating], weights: NDArray[np.floating], name: str = "frames") -> Floats:
    """The unit vector [d] of a video whose frames [f d] count by weights [f] of at least 0.

    ``UserError`` names ``name`` where a weight is no such number, or where frames and weights cancel each other out.
    """
    total = weighted_sum(embeddings, checked_weights(weights, len(embeddings), name), name)
    return unit_vectors(total[None], f"{name}, fused")[0]


def consensus_template(
    embeddings: NDArray[np.floating], weights: NDArray[np.floating] | None = None, name: str = "frames"
) -> Floats:
    """The unit vector [d] of a video whose frames [f d] count by weights [f], or alike, and by how far they agree."""
    start = equal_weights(embeddings) if weights is None else checked_weights(weights, len(embeddings), name)
    return weighted_template(embeddings, start * consensus_weights(embeddings, name=name), name)


def consensus_weights(
    embeddings: NDArray[np.floating], sharpness: float = SHARPNESS, rounds: int = ROUNDS, name: str = "frames"
) -> Floats:
    """How far each frame [f d] agrees with the others: [f] in [0, 1], to the power of ``sharpness``.

    Agreement is the cosine to the sum of the other frames, weighted by the round before, 0 where that is negative, in
    parts of its median and 1 above. Every frame has one vote, however good it is: a stranger seen sharply would
    otherwise outvote a person seen dimly. One or two frames agree alike and keep their weights. O(f d) a round.
    """
    directions = unit_vectors(embeddings, name)
    weights = np.ones(len(directions))
    for _ in range(rounds if len(directions) > 2 else 0):
        agreement = np.maximum(leave_one_out_cosines(directions, weights), 0)
        reference = float(np.sort(agreement)[len(agreement) // 2])
        if reference == 0:  # most frames have nothing in common: there is no consensus to follow
            return np.ones(len(directions))
        weights = np.minimum(agreement / reference, 1) ** sharpness
    return weights


def leave_one_out_cosines(directions: Floats, weights: Floats) -> Floats:
    """Cosine [f] of each unit vector [f d] with the weighted sum of all others; 0 where these cancel out."""
    total = weights @ directions
    along = directions @ total - weights
    length = np.sqrt(np.maximum(total @ total - 2 * weights * (along + weights) + weights**2, 0))
    return np.divide(along, length, out=np.zeros_like(along), where=length > 1e-9)


def checked_weights(weights: NDArray[np.floating], frames: int, name: str) -> Floats:
    """The weights [f] in float64; ``UserError`` where they are not one finite number of at least 0 for each frame."""
    weights = np.asarray(weights, np.float64)
    if weights.shape != (frames,):
        raise UserError(f"{name}: weights have shape {list(weights.shape)}; expected one for each of {frames} frames")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise UserError(
            f"{name}: the weight of frame {bad[0]} is {weights[bad[0]]}; expected a finite number of at least 0"
        )
    return weights
