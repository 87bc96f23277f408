"""Synthetic faces as an ordinary training set: made at the first use, read from disk from then on."""

from __future__ import annotations

from pathlib import Path

from distill.data.recordio import RecordIOSet
from distill.data.synth.making import make
from distill.data.synth.recipe import Recipe


class SynthFaces:
    """``identities`` people who do not exist, ``pictures`` of each, in a folder of the RecordIO layout.

    Beside them lie two verification sets of ``pairs`` of other people. The folder is made where it is absent, and
    made again where it is damaged; a folder of another recipe is refused.
    """

    def __init__(
        self, root: str | Path, identities: int = 1000, pictures: int = 12, pairs: int = 3000, seed: int = 1
    ) -> None:
        recipe = Recipe(identities, pictures, pairs, seed)
        recipe.check()
        make(Path(root), recipe)
        self._faces = RecordIOSet(root)
        self.classes = self._faces.classes
        self.labels = self._faces.labels

    def __len__(self) -> int:
        return len(self._faces)

    def read(self, index: int) -> bytes:
        return self._faces.read(index)

    def name(self, index: int) -> str:
        return self._faces.name(index)

    def fingerprint(self) -> str:
        return self._faces.fingerprint()
