"""Rehearsal: which old images a night shows again beside the new ones, against forgetting.

Source: rehearsal with a set that is as good as equal for all classes (Rebuffi et al., iCaRL, arXiv 1611.07725, section
3.3). Deviations: exemplars are drawn again each night instead of being stored, because the data are still there, and no
image of a person is preferred as more typical.
"""

from __future__ import annotations

import numpy as np

from distill.types import UNLABELLED


def replayed(labels: np.ndarray, share: float, seed: int, night: int) -> np.ndarray:
    """Rows int64 [k], ascending, of the old images with ``labels`` [n] that are shown again: ``share`` of them.

    A pure function of its arguments; another night is another draw. Of images with a label no person gets a second one
    before every person has one, so all people are shown if the share allows one image each. Of those without a
    label the same share is drawn at random. 0 is none and 1 is all.
    """
    assert 0 <= share <= 1
    rng = np.random.default_rng([seed, night])
    known, unknown = np.flatnonzero(labels != UNLABELLED), np.flatnonzero(labels == UNLABELLED)
    chosen = [
        _in_turn(labels[known], rng)[: round(share * len(known))],
        rng.permutation(len(unknown))[: round(share * len(unknown))],
    ]
    return np.sort(np.concatenate([known[chosen[0]], unknown[chosen[1]]]))


def _in_turn(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All rows [n] in rounds: each round has one row of every person with rows left, in random order."""
    shuffled = rng.permutation(len(labels))
    # (n): people adjacent, the images of each in random order, which the stable sort keeps
    by_person = shuffled[np.argsort(labels[shuffled], kind="stable")]
    people = labels[by_person]
    begins = np.flatnonzero(np.diff(people, prepend=people[:1] - 1))  # (people): first place of each person
    # (n): 0, 1, 2, ... within each person
    rounds = np.arange(len(people)) - np.repeat(begins, np.diff(begins, append=len(people)))
    # by round, then by a random number: lexsort's last key is the first
    return by_person[np.lexsort((rng.random(len(people)), rounds))]
