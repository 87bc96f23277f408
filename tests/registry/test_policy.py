"""What the policy keeps, and that it never lets go of what somebody may be reading."""

from __future__ import annotations

import random

import pytest

from distill.errors import UserError
from distill.registry.policy import Policy, superfluous

NAMES = [f"v{n:04d}" for n in range(1, 9)]


@pytest.mark.parametrize(
    ("policy", "served", "pointed", "gone"),
    [
        (Policy(8, 0), [], [], []),
        (Policy(100, 0), [], [], []),
        (Policy(3, 0), [], [], [1, 2, 3, 4, 5]),
        (Policy(1, 0), [], [2, 3], [1, 4, 5, 6, 7]),
        (Policy(1, 1), [1, 2, 4], [], [1, 2, 3, 5, 6, 7]),
        (Policy(1, 2), [1, 4, 1, 4], [], [2, 3, 5, 6, 7]),
        (Policy(1, 2), [2, 1, 4, 1, 4], [4, 1], [2, 3, 5, 6, 7]),
    ],
)
def test_the_newest_the_last_that_served_and_what_is_pointed_to(policy, served, pointed, gone):
    def names(numbers: list[int]) -> list[str]:
        return [f"v{n:04d}" for n in numbers]

    assert superfluous(NAMES, names(served), names(pointed), policy) == names(gone)


def test_nothing_that_counts_ever_goes():
    chance = random.Random(1)
    for _ in range(300):
        names = sorted(chance.sample(NAMES, chance.randint(1, 8)))
        served = chance.choices(NAMES, k=chance.randint(0, 12))  # some were removed since
        pointed = chance.sample(names, min(2, len(names)))
        policy = Policy(chance.randint(1, 9), chance.randint(0, 9))
        gone = superfluous(names, served, pointed, policy)
        assert not {*pointed, *names[-policy.newest :]} & set(gone)
        kept = [name for name in names if name not in gone]
        assert len(kept) <= policy.newest + policy.champions + len(pointed)
        assert superfluous(kept, served, pointed, policy) == []


def test_a_policy_that_keeps_nothing():
    with pytest.raises(UserError, match="newest is 0; expected 1 or more versions to keep"):
        Policy(newest=0)
    with pytest.raises(UserError, match="champions is -1; expected 0 or more versions to keep"):
        Policy(champions=-1)
