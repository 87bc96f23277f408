"""Views: the variants of an image that training shows, and those that a store of teacher outputs holds.

A view is one rendering of an image. Live training draws a new one at every visit. A store holds a few columns for each
image, so with a store training is restricted to views whose column is known: a replay is exact or does not happen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distill.data.augment import Augmentation, augmentation_rng
from distill.errors import UserError

LIVE = -1
"""The column of a view that no store holds."""


class Views(ABC):
    """Rule from (image, visit) to the student's input and the column of the teacher's output for it in a store."""

    @abstractmethod
    def show(self, image: np.ndarray, index: int, visit: int) -> tuple[np.ndarray, int]:
        """The student's input for an RGB uint8 image [112 112 3] on a visit, and the column."""


class StoredViews(Views):
    """Views whose columns can be computed beforehand."""

    columns: int
    """Stored views of each image."""

    @abstractmethod
    def column(self, image: np.ndarray, index: int, column: int) -> np.ndarray:
        """The teacher's input for a column."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """The rule as plain JSON for a manifest; it changes whenever a column does."""


@dataclass(frozen=True)
class NewViews(Views):
    """A new draw of the augmentation at every visit: for a live teacher."""

    augment: Augmentation
    seed: int

    def show(self, image: np.ndarray, index: int, visit: int) -> tuple[np.ndarray, int]:
        return self.augment(image, augmentation_rng(self.seed, index, visit)), LIVE


@dataclass(frozen=True)
class MirrorViews(StoredViews):
    """The image and its mirror image, as the teacher's inputs; the same draws as without a store.

    ``flip_sum``: one column for both, the sum of the teacher's two embeddings, as the challenge sums them for its image
    protocols. Operations that change pixels but not their positions may still be drawn for the student only.
    """

    augment: Augmentation
    seed: int
    flip_sum: bool = False

    @property
    def columns(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return 1 if self.flip_sum else 2

    def __post_init__(self) -> None:
        for name in ("shift_px", "scale"):
            if getattr(self.augment, name):
                raise UserError(
                    f"data.augment.{name} is {getattr(self.augment, name)}; signals of images and their mirror images "
                    f"replay a mirror alone: give data.augment.{name}=0, or make signals of complete views (views=4)"
                )

    def show(self, image: np.ndarray, index: int, visit: int) -> tuple[np.ndarray, int]:
        mirrored = self.augment.mirrors(augmentation_rng(self.seed, index, visit))
        # a fresh generator: ``mirrors`` has used the first draw of the other one
        shown = self.augment(image, augmentation_rng(self.seed, index, visit))
        return shown, int(mirrored and not self.flip_sum)

    def column(self, image: np.ndarray, index: int, column: int) -> np.ndarray:
        return image[:, ::-1] if column else image  # (h, w, 3): mirrored left to right

    def described(self) -> dict[str, Any]:
        return {"kind": "flip_sum" if self.flip_sum else "mirror"}


@dataclass(frozen=True)
class FixedViews(StoredViews):
    """``columns`` augmented views of each image, drawn once and then taken in turn, for student and teacher alike.

    Dataset reinforcement (Faghri et al., arXiv 2303.08983). The first ``columns`` visits are those of live training
    with the same seed.
    """

    augment: Augmentation
    seed: int
    columns: int

    def __post_init__(self) -> None:
        if self.columns < 1:
            raise UserError(f"views is {self.columns}; expected at least 1 augmented view of each image")

    def show(self, image: np.ndarray, index: int, visit: int) -> tuple[np.ndarray, int]:
        column = visit % self.columns  # every view once before any is repeated
        return self.column(image, index, column), column

    def column(self, image: np.ndarray, index: int, column: int) -> np.ndarray:
        # the column takes the place of the visit, so that later visits repeat it
        return self.augment(image, augmentation_rng(self.seed, index, column))

    def described(self) -> dict[str, Any]:
        return {"kind": "augmented", "columns": self.columns, "seed": self.seed, "augment": asdict(self.augment)}
