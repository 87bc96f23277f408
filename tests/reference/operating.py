"""Operating points and their bands by slow loops: one threshold, one resample, one repeated pair at a time."""

from __future__ import annotations

from collections.abc import Sequence


def operating_point(scores: Sequence[float], same: Sequence[bool], allowed: int) -> tuple[float, int, int]:
    """(threshold, impostors accepted, genuine accepted) of accepting what scores more than the lowest threshold among
    the scores of impostors that lets no more than ``allowed`` impostors in."""
    best = None
    for threshold in sorted({s for s, g in zip(scores, same, strict=True) if not g}, reverse=True):
        accepted = [g for s, g in zip(scores, same, strict=True) if s > threshold]
        if accepted.count(False) <= allowed:
            best = (threshold, accepted.count(False), accepted.count(True))
    assert best is not None
    return best


def band(
    scores: Sequence[float],
    same: Sequence[bool],
    fpr: float,
    resamples: Sequence[Sequence[int]],
    confidence: float,
) -> tuple[float, float]:
    """Percentiles of the TPR at an FPR over resamples, each a number of times for every pair."""
    rates = []
    for times in resamples:
        repeated = [(s, g) for s, g, t in zip(scores, same, times, strict=True) for _ in range(t)]
        genuine = [s for s, g in repeated if g]
        impostor = sorted((s for s, g in repeated if not g), reverse=True)
        if genuine and impostor:
            allowed = int(fpr * len(impostor) + 1e-9)
            threshold = impostor[allowed]
            rates.append(sum(s > threshold for s in genuine) / len(genuine))
    tail = (1 - confidence) / 2
    return percentile(rates, tail), percentile(rates, 1 - tail)


def percentile(values: Sequence[float], share: float) -> float:
    """Linear between the two nearest of the sorted values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
