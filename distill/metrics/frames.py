"""From the embeddings of a video's frames to one for the video: a sum of unit vectors, each with its weight.

Equal weights are the rule of LFR 2019 (``challenges/iccv19-lfr/gen_video_feature.py`` of deepinsight/insightface).
Weights by length rest on what margin losses leave in it: a face that is hard to recognise has a short embedding
(Meng et al., MagFace, CVPR 2021, section 3, argues the same way and trains for it).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distill.metrics.embedding import unit_vectors


def equal_weights(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 for each frame [f] of embeddings [f d]."""
    return np.ones(len(embeddings))


def length_weights(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """The length [f] of each frame's embedding [f d]: their weighted sum is that of the embeddings as they are."""
    return np.sqrt((np.asarray(embeddings, np.float64) ** 2).sum(axis=1))


def weighted_sum(embeddings: NDArray[np.floating], weights: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """Sum [d] of the unit vectors of embeddings [f d], each times its weight [f]; not normalised.

    Sums over parts of a video add up to that of the whole. ``UserError`` as ``unit_vectors`` says it of ``name``.
    """
    return np.asarray(weights, np.float64) @ unit_vectors(embeddings, name)


def mean_of_normalised(embeddings: NDArray[np.floating], name: str = "frames") -> NDArray[np.float64]:
    """The unit vector [d] of a video whose frames [f d] count alike."""
    return unit_vectors(weighted_sum(embeddings, equal_weights(embeddings), name)[None], name)[0]


def norm_weighted(embeddings: NDArray[np.floating], name: str = "frames") -> NDArray[np.float64]:
    """The unit vector [d] of a video whose frames [f d] count by their length: the direction of their plain sum."""
    return unit_vectors(weighted_sum(embeddings, length_weights(embeddings), name)[None], name)[0]
