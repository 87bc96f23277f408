"""Benchmark sets of drawn scores: what two models say of the same pairs, and by how much one is truly worse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from distill.judge.benchmark import Benchmark
from distill.judge.comparison import Case

NORMAL = NormalDist()


def separation(auc: float) -> float:
    """By how many standard deviations two normal distributions of spread 1 differ whose AUC is ``auc``."""
    return math.sqrt(2) * NORMAL.inv_cdf(auc)


@dataclass
class ScoredPairs:
    """Pairs, genuine and impostor in turn; both models' scores are normal and correlate by ``correlation``.

    ``champion`` and ``challenger`` are true AUCs; ``inside`` replaces the challenger's in a group of that name.
    """

    champion: float = 0.95
    challenger: float = 0.95
    pairs: int = 800
    correlation: float = 0.8
    groups: Mapping[str, int] = field(default_factory=dict)
    inside: Mapping[str, float] = field(default_factory=dict)
    name: str = "set"

    def draw(self, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        same = np.tile([True, False], self.pairs // 2)
        group = np.repeat([*self.groups, ""], [*self.groups.values(), self.pairs - sum(self.groups.values())])
        group = rng.permutation(group)
        aucs = np.array([self.inside.get(name, self.challenger) for name in group.tolist()])
        common = math.sqrt(self.correlation) * rng.normal(size=self.pairs)
        models = []
        for apart in (separation(self.champion), np.vectorize(separation)(aucs)):
            own = math.sqrt(1 - self.correlation) * rng.normal(size=self.pairs)
            models.append(2 - (same * apart + common + own) / 5)
        columns = {"group": group} if self.groups else {}
        return Case(Benchmark(self.name, same, columns, None, "0" * 64), models[1], models[0])
