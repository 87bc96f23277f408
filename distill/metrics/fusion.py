"""Fusion of a video's frames with unequal weights: given ones, and those of a consensus among the frames.

Templates are weighted sums of unit vectors. They are running sums, and so is a weighted template
whose weights come with each frame: a student's lengths or a separate network's output. Min-max weights and consensus
need all frames of a video.

Consensus compares frames, which no weight of a single frame can do: it finds a sharp frame of another person. What
disagrees with the other frames loses weight; iteratively reweighted means are the standard form of robust estimates
(Holland and Welsch, Communications in Statistics A6, 1977). That a frame loses all of it where it disagrees (a
redescending weight) is our choice, as is the scale, which is the agreement of the video's better half. Clean frames so
keep their weights, whatever level of agreement the network or the video has.

Frames that are bad alike agree with each other more than with the good ones: five that the same hand covers outvote
three that show a face. Concentrations give the expected agreement. Frames are then compared with that, and a
video whose frames agree as they should keeps all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.errors import UserError
from distill.metrics.embedding import unit_vectors

Floats = NDArray[np.float64]


TOLERANCE = 0.6
"""Relative agreement from which on a frame keeps its full weight: pose and light, too, make frames differ."""
SHARPNESS = 2.0
"""Power of a frame's agreement below that."""
ROUNDS = 10
"""Rounds of reweighting; below the tolerance a weight falls with every round."""


def weighted_template(embeddings: NDArray[np.floating], weights: NDArray[np.floating], name: str = "frames") -> Floats:
    """The unit vector [d] of a video whose frames [f d] count by weights [f] of at least 0.

    ``UserError`` names ``name`` where a weight is no such number, or where frames and weights cancel each other out.
    """
    total = weighted_sum(embeddings, checked_weights(weights, len(embeddings), name), name)
    return unit_vectors(total[None], f"{name}, fused")[0]


def consensus_template(
    embeddings: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    concentrations: NDArray[np.floating] | None = None,
    name: str = "frames",
) -> Floats:
    """The unit vector [d] of a video whose frames [f d] count by weights [f], or alike, and by how far they agree."""
    start = equal_weights(embeddings) if weights is None else checked_weights(weights, len(embeddings), name)
    return weighted_template(embeddings, start * consensus_weights(embeddings, concentrations, name=name), name)


def consensus_weights(
    embeddings: NDArray[np.floating],
    concentrations: NDArray[np.floating] | None = None,
    sharpness: float = SHARPNESS,
    rounds: int = ROUNDS,
    name: str = "frames",
) -> Floats:
    """How far each frame [f d] agrees with the others: [f] in [0, 1], to the power of ``sharpness``.

    Agreement is the mean cosine to the other frames, weighted by the round before, 0 where that is negative, in parts
    of its median; ``TOLERANCE`` of that is enough for full weight. With ``concentrations`` [f], in parts of d, it is
    taken in parts of what it should be, and the median counts as 1 where it is more. Every frame has one vote, however
    good it is: a stranger seen sharply would otherwise outvote a person seen dimly. One or two frames keep their
    weights. O(f d) a round.
    """
    directions = unit_vectors(embeddings, name)
    expected = np.ones(len(directions)) if concentrations is None else mean_cosine(concentrations)
    most = np.inf if concentrations is None else 1.0
    weights = np.ones(len(directions))
    for _ in range(rounds if len(directions) > 2 else 0):
        agreement = np.maximum(relative_agreement(directions, expected, weights), 0)
        # the upper median: with an even number of frames the better half decides
        reference = min(float(np.sort(agreement)[len(agreement) // 2]), most)
        if reference == 0:  # most frames have nothing in common: there is no consensus to follow
            return np.ones(len(directions))
        weights = np.minimum(agreement / (TOLERANCE * reference), 1) ** sharpness
    return weights


def relative_agreement(directions: Floats, expected: Floats, weights: Floats) -> Floats:
    """Mean cosine [f] of each unit vector [f d] with all others, by their weights [f], in parts of the expected one.

    ``expected`` [f] is each frame's cosine to its person; errors of two frames are taken as independent, so that their
    own cosine is the product. 0 where no other frame has weight.
    """
    # sum over frames of weight * cosine, without the frame itself, whose cosine is 1: O(f d) instead of an f x f matrix
    found = directions @ (weights @ directions) - weights
    # the same sum of the expected cosines: (f)
    due = expected * (weights @ expected) - weights * expected**2
    return np.divide(found, due, out=np.zeros_like(found), where=due > 1e-9)


def mean_cosine(concentrations: NDArray[np.floating]) -> Floats:
    """Expected cosine [f] to the centre of a von Mises-Fisher distribution, of kappa [f] in parts of d.

    I_{d/2}(kappa) / I_{d/2-1}(kappa) for large d: 2 x / (1 + sqrt(1 + 4 x^2)) (Amos, Mathematics of Computation 28,
    1974, bounds it from both sides; for 512 dimensions they differ by less than 0.002).
    """
    x = np.asarray(concentrations, np.float64)
    return 2 * x / (1 + np.sqrt(1 + 4 * x**2))


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


def min_max_weights(qualities: NDArray[np.floating], name: str = "frames") -> Floats:
    """The weight of each frame from its quality [f], any number: of more than two frames the best gets 1, the worst 0.

    Source: QAN++ of the Trojans, liuyuisanai/trojans-face-recognizer: QAN++/generate_aggregation_feat.py. One or two
    frames keep their qualities, which then must not be negative. Deviation: frames of equal quality count alike, where
    the authors divide by 0.
    """
    qualities = np.asarray(qualities, np.float64)
    if len(qualities) > 2 and np.isfinite(qualities).all():
        span = np.ptp(qualities)
        qualities = (qualities - qualities.min()) / span if span > 0 else np.ones(len(qualities))
    return checked_weights(qualities, len(qualities), name)


def equal_weights(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 for each frame [f] of embeddings [f d]."""
    return np.ones(len(embeddings))


def length_weights(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """The length [f] of each frame's embedding [f d]: their weighted sum is that of the embeddings as they are."""
    return np.sqrt((np.asarray(embeddings, np.float64) ** 2).sum(axis=1))


def weighted_sum(embeddings: NDArray[np.floating], weights: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """Sum [d] of the unit vectors of embeddings [f d], each times its weight [f]; not normalised.

    Sums over parts of a video add up to that of the whole. ``UserError`` as of ``unit_vectors``, with ``name``.
    """
    return np.asarray(weights, np.float64) @ unit_vectors(embeddings, name)


def mean_of_normalised(embeddings: NDArray[np.floating], name: str = "frames") -> NDArray[np.float64]:
    """The unit vector [d] of a video whose frames [f d] count alike."""
    return unit_vectors(weighted_sum(embeddings, equal_weights(embeddings), name)[None], name)[0]


def norm_weighted(embeddings: NDArray[np.floating], name: str = "frames") -> NDArray[np.float64]:
    """The unit vector [d] of a video whose frames [f d] count by their length: the direction of their plain sum."""
    return unit_vectors(weighted_sum(embeddings, length_weights(embeddings), name)[None], name)[0]
