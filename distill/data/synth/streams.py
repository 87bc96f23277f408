"""Random streams that depend only on their key: draws from one never change those from another.

A key is (seed, split, identity, picture, purpose). The split is part of it, so people of different splits are
different by construction (Philox: another key is another sequence); the purpose is part of it, so that a new
hairstyle does not change the skin.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Split(IntEnum):
    train = 0
    validation = 1
    test = 2


class Purpose(IntEnum):
    person = 0
    shape = 1
    skin = 2
    features = 3
    hair = 4
    pose = 5
    light = 6
    expression = 7
    eyes = 8
    background = 9
    camera = 10
    file = 11
    extras = 12


@dataclass(frozen=True)
class Key:
    """Which person of which split: ``seed`` and ``identity`` below 2**32."""

    seed: int
    split: Split
    identity: int

    def stream(self, purpose: Purpose, picture: int | None = None) -> np.random.Generator:
        """The numbers for one purpose, of the person or (counted from 0) of one picture."""
        number = 0 if picture is None else 1 + picture
        # disjoint bit fields: no two keys collide
        words = [(self.seed << 32) + self.identity, (int(self.split) << 56) + (int(purpose) << 48) + number]
        return np.random.Generator(np.random.Philox(key=np.array(words, np.uint64)))
