"""Small sets of faces with everything that makes ranks difficult: ties, equal rows, distractors."""

from __future__ import annotations

import numpy as np

from distill.metrics.allpairs.pairing import LabelledFeatures


def crowd(rows: int, columns: int = 12, seed: int = 0, people: int = 20, coarse: bool = True) -> LabelledFeatures:
    """Rows of some people and distractors; coarse ones take few values, so that many pairs tie, and some are equal."""
    rng = np.random.default_rng(seed)
    identities = rng.integers(0, people, rows)
    centres = np.random.default_rng(99).normal(size=(people, columns))
    features = centres[identities] + 1.5 * rng.normal(size=(rows, columns))
    if coarse:
        features = np.sign(features)
        features[rows // 2 : rows // 2 + rows // 10] = features[: rows // 10]
    identities[rng.random(rows) < 0.2] = -1
    return LabelledFeatures(features.astype(np.float32), identities.astype(np.int64), "crowd.npy")
