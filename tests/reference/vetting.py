"""Similarities of pictures to people, a pair of pictures at a time, in float64."""

from __future__ import annotations

import numpy as np


def mean_cosine(picture: np.ndarray, others: list[np.ndarray]) -> float:
    return sum(float(picture.astype(float) @ other.astype(float)) for other in others) / len(others)


def own(embeddings: np.ndarray, labels: np.ndarray, row: int) -> float:
    """With all other pictures of the same person; NaN where there are none."""
    others = [embeddings[k] for k in range(len(labels)) if k != row and labels[k] == labels[row]]
    return mean_cosine(embeddings[row], others) if others else float("nan")


def nearest(embeddings: np.ndarray, labels: np.ndarray, row: int) -> tuple[float, int]:
    """The greatest with another person's pictures, and whose they are."""
    people = sorted(set(labels.tolist()) - {labels[row]})
    found = [mean_cosine(embeddings[row], list(embeddings[labels == person])) for person in people]
    return max(found), people[int(np.argmax(found))]


def within(embeddings: np.ndarray, labels: np.ndarray, person: int) -> float:
    """Between different pictures of a person; NaN with fewer than two."""
    mine = embeddings[labels == person].astype(float)
    pairs = [float(mine[i] @ mine[j]) for i in range(len(mine)) for j in range(len(mine)) if i != j]
    return sum(pairs) / len(pairs) if pairs else float("nan")


def between(embeddings: np.ndarray, labels: np.ndarray, one: int, two: int) -> float:
    """Between the pictures of two people."""
    mine, theirs = (embeddings[labels == person].astype(float) for person in (one, two))
    return float(np.mean([[a @ b for b in theirs] for a in mine]))
