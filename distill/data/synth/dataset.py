"""Synthetic faces as an ordinary training set: generated at the first use, then read from disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from distill.data.faceset import bytes_digest
from distill.data.recordio import RecordIOSet
from distill.data.synth.generate import make
from distill.data.synth.identity import draw_person
from distill.data.synth.recipe import FacesRecipe
from distill.data.synth.streams import Key, Split


class SynthFaces:
    """``identities`` people who do not exist, ``pictures`` of each, in a folder of the RecordIO layout.

    Beside them lie two verification sets of ``pairs`` of other people. The folder is generated if it is missing or
    damaged; a folder of another recipe is refused.
    """

    def __init__(
        self, root: str | Path, identities: int = 600, pictures: int = 5, pairs: int = 1000, seed: int = 1
    ) -> None:
        recipe = FacesRecipe(identities, pictures, pairs, seed)
        recipe.check()
        make(Path(root), recipe)
        self._faces = RecordIOSet(root)
        self._identity = recipe.identity()
        self._seed = seed
        self.classes = self._faces.classes
        self.labels = self._faces.labels

    def __len__(self) -> int:
        return len(self._faces)

    def read(self, index: int) -> bytes:
        return self._faces.read(index)

    def name(self, index: int) -> str:
        return self._faces.name(index)

    def digest(self, index: int, encoded: bytes) -> int:
        """Of the image's place in the recipe: stored teacher outputs stay valid on machines that round differently.

        The bytes themselves were verified when the folder was opened.
        """
        return bytes_digest(f"{self._identity} {index}".encode())

    def traits(self) -> np.ndarray:
        """The traits that the people were drawn with, float32 [classes k]."""
        people = (draw_person(Key(self._seed, Split.train, number)) for number in range(self.classes))
        return np.stack([person.traits() for person in people]).astype(np.float32)

    def fingerprint(self) -> str:
        return hashlib.sha256(self._identity.encode()).hexdigest()
