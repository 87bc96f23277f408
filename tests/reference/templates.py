"""Templates and galleries as plain loops over images, pairs and probes."""

from __future__ import annotations

import numpy as np


def template_feature(features: np.ndarray, medium: list[int], score: list[float]) -> np.ndarray:
    """Images [n d] of one template to its unit vector [d]: means inside of media, summed."""
    total = np.zeros(features.shape[1])
    for each in sorted(set(medium)):
        images = [features[i] * score[i] for i in range(len(medium)) if medium[i] == each]
        total += sum(images) / len(images)
    return total / np.sqrt((total**2).sum())


def ranks_and_scores(
    gallery: np.ndarray, subject: list[int], probes: np.ndarray, wanted: list[int]
) -> list[tuple[int, float]]:
    """For each probe the rank of its subject, 0 if not enrolled, and its score (the best of all if not enrolled)."""
    found = []
    for probe, own in zip(probes, wanted, strict=True):
        best: dict[int, float] = {}
        for template, name in zip(gallery, subject, strict=True):
            best[name] = max(best.get(name, -9.0), float(template @ probe))
        if own not in best:
            found.append((0, max(best.values())))
            continue
        found.append((1 + sum(s >= best[own] for name, s in best.items() if name != own), best[own]))
    return found


def dir_at_far(found: list[tuple[int, float]], allowed: int) -> float:
    """Largest DIR of all thresholds (reaching them counts) at which at most ``allowed`` strangers raise an alarm."""
    mated = [(rank, score) for rank, score in found if rank]
    best = 0.0
    for threshold in [score for _, score in found]:
        if sum(score >= threshold for rank, score in found if not rank) <= allowed:
            best = max(best, sum(rank == 1 and score >= threshold for rank, score in mated) / len(mated))
    return best
