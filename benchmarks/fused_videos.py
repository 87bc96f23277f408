"""Videos of embedded frames, fused by every rule, all compared with all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from frames import KINDS

from distill.metrics.bootstrap import Bootstrap, Weights
from distill.metrics.fusion import consensus_template, mean_of_normalised, norm_weighted, weighted_template
from distill.metrics.roc import curve

POOL = [(kind, number) for kind in KINDS for number in range(8 if kind == "clean" else 5)]
"""The frames of one half of a person's pictures, of which a video takes as many of a kind as it needs."""
FPRS = (1e-4, 1e-3, 1e-2)
RESAMPLES = 300
STRANGERS = 50

METHODS = {
    "mean": "mean",
    "norm": "norm",
    "learned": "learned",
    "separate": "separate network",
    "consensus": "consensus",
    "learned_consensus": "learned, consensus",
    "separate_consensus": "separate, consensus",
}
STRANGER, COMPANION = "stranger", "companion"
CONDITIONS: dict[str, Mapping[str, int]] = {
    "clean": {"clean": 8},
    "blur": {"clean": 3, "blur": 5},
    "low resolution": {"clean": 3, "low_resolution": 5},
    "occlusion": {"clean": 3, "occlusion": 5},
    "wrong person (stranger)": {"clean": 6, STRANGER: 2},
    "wrong person (of the set)": {"clean": 6, COMPANION: 2},
    "mixed": {"clean": 2, "blur": 2, "low_resolution": 1, "occlusion": 1, STRANGER: 2},
}
"""Frames of a video by kind. A stranger is a person who is in no other video, a companion one who has videos too; both
are seen clean."""
ANY = "any of these"
"""Every video of another condition, as chance will have it."""


class Embedded(NamedTuple):
    """What is known of the pool: embeddings [n 2 POOL d], and concentrations [n 2 POOL] in parts of d of two makes.

    None where there is no such network, or the recogniser has none of its own.
    """

    frames: np.ndarray
    separate: np.ndarray | None
    kappa: np.ndarray | None


class Video(NamedTuple):
    """Embeddings [f d] and qualities [f]."""

    frames: np.ndarray
    separate: np.ndarray | None
    kappa: np.ndarray | None


Rule = Callable[[Video], np.ndarray]


def rules(pool: Embedded) -> dict[str, Rule]:
    """Each method; without those that need a missing quality."""
    found: dict[str, Rule] = {
        "mean": lambda v: mean_of_normalised(v.frames),
        "norm": lambda v: norm_weighted(v.frames),
        "consensus": lambda v: consensus_template(v.frames),
    }
    if pool.separate is not None:
        found["separate"] = lambda v: weighted_template(v.frames, _given(v.separate))
        found["separate_consensus"] = lambda v: consensus_template(v.frames, _given(v.separate), _given(v.separate))
    if pool.kappa is not None:
        found["learned"] = lambda v: weighted_template(v.frames, _given(v.kappa))
        found["learned_consensus"] = lambda v: consensus_template(v.frames, _given(v.kappa), _given(v.kappa))
    return found


def judge(pool: Embedded, seed: int) -> dict[str, dict[str, Any]]:
    """Every condition and method: TPRs, AUC, their intervals, and the interval of each difference to the mean.

    The last of the people are the strangers, and have no videos of their own.
    """
    starring = len(pool.frames) - min(STRANGERS, len(pool.frames) // 3)
    rng = np.random.default_rng(seed)
    cast = [(person, half) for half in (0, 1) for person in range(starring)]
    found = {}
    for condition in (*CONDITIONS, ANY):
        names = rng.choice(list(CONDITIONS), len(cast)) if condition == ANY else [condition] * len(cast)
        videos = [
            cut(pool, person, half, CONDITIONS[name], starring, seed)
            for (person, half), name in zip(cast, names, strict=True)
        ]
        found[condition] = _compared(videos, rules(pool))
    return found


def cut(pool: Embedded, person: int, half: int, kinds: Mapping[str, int], starring: int, seed: int) -> Video:
    """The video of one half of a person's pictures."""
    rng = np.random.default_rng([seed, person, half])
    places = []
    for kind, count in kinds.items():
        whose, seen = person, kind
        if kind == STRANGER:
            whose, seen = int(rng.integers(starring, len(pool.frames))), "clean"
        elif kind == COMPANION:
            whose, seen = int((person + rng.integers(1, starring)) % starring), "clean"
        slots = [slot for slot, (k, _) in enumerate(POOL) if k == seen]
        places += [(whose, half, slot) for slot in rng.permutation(slots)[:count]]
    index = tuple(np.array(places).T)
    separate, kappa = (None if said is None else said[index] for said in (pool.separate, pool.kappa))
    return Video(pool.frames[index], separate, kappa)


def _compared(videos: list[Video], methods: Mapping[str, Rule]) -> dict[str, Any]:
    persons = np.tile(np.arange(len(videos) // 2), 2)
    left, right = np.triu_indices(len(videos), 1)
    pairs = np.stack([persons[left], persons[right]], 1)
    same = pairs[:, 0] == pairs[:, 1]
    scores = {}
    for name, rule in methods.items():
        templates = np.stack([rule(video) for video in videos])
        scores[name] = (templates @ templates.T)[left, right]
    once = np.ones((1, len(same)))
    bootstrap = Bootstrap(RESAMPLES)
    drawn = {n: bootstrap.resample(lambda w, s=s: _statistics(w, s, same), same, pairs) for n, s in scores.items()}
    return {
        name: _figures(_statistics(once, s, same)[0], drawn[name], drawn["mean"], bootstrap)
        for name, s in scores.items()
    }


def _statistics(weights: Weights, scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """AUC and TPRs [r 1+k] for weights [r p]."""
    roc = curve(scores, same, weights)
    return np.stack([roc.auc(), *(roc.tpr_at_fpr(fpr) for fpr in FPRS)], 1)


def _figures(values: np.ndarray, drawn: np.ndarray, mean: np.ndarray, bootstrap: Bootstrap) -> dict[str, Any]:
    names = ["auc", *(f"{fpr:g}" for fpr in FPRS)]
    intervals = [bootstrap.interval(column) for column in drawn.T]
    over = [bootstrap.interval(column) for column in (drawn - mean).T]
    rates = dict(zip(names, values.tolist(), strict=True))
    return {
        "auc": rates.pop("auc"),
        "tpr_at_fpr": rates,
        "interval": dict(zip(names, intervals, strict=True)),
        "over_mean": dict(zip(names, over, strict=True)),
    }


def _given(quality: np.ndarray | None) -> np.ndarray:
    assert quality is not None
    return quality
