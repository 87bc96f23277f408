"""Which variants of an image training shows, and which of them a store of teacher outputs holds.

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
    """Rule from (image, visit) to what the student sees and where a store keeps the teacher's output for it."""

    @abstractmethod
    def show(self, image: np.ndarray, index: int, visit: int) -> tuple[np.ndarray, int]:
        """What the student sees of an RGB uint8 image [112 112 3] on a visit, and the column."""


class StoredViews(Views):
    """Views whose columns can be written down beforehand."""

    columns: int
    """Stored views of each image."""

    @abstractmethod
    def column(self, image: np.ndarray, index: int, column: int) -> np.ndarray:
        """What the teacher sees for a column."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """What a manifest says of the rule: plain JSON that changes with any column."""


@dataclass(frozen=True)
class NewViews(Views):
    """A new draw of the augmentation at every visit: for a teacher that looks at it at once."""

    augment: Augmentation
    seed: int

    def show(self, image: np.ndarray, index: int, visit: int) -> tuple[np.ndarray, int]:
        return self.augment(image, augmentation_rng(self.seed, index, visit)), LIVE


@dataclass(frozen=True)
class MirrorViews(StoredViews):
    """The image and its mirror image, as the teacher sees them; the same draws as without a store.

    What changes pixels but not their places may still be drawn for the student alone.
    """

    augment: Augmentation
    seed: int
    columns = 2

    def __post_init__(self) -> None:
        for name in ("shift_px", "scale"):
            if getattr(self.augment, name):
                raise UserError(
                    f"data.augment.{name} is {getattr(self.augment, name)}; signals of images and their mirror images "
                    f"replay a mirror alone: give data.augment.{name}=0, or make signals of complete views (views=4)"
                )

    def show(self, image: np.ndarray, index: int, visit: int) -> tuple[np.ndarray, int]:
        mirrored = self.augment.mirrors(augmentation_rng(self.seed, index, visit))
        return self.augment(image, augmentation_rng(self.seed, index, visit)), int(mirrored)

    def column(self, image: np.ndarray, index: int, column: int) -> np.ndarray:
        return image[:, ::-1] if column else image

    def described(self) -> dict[str, Any]:
        return {"kind": "mirror"}


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
        column = visit % self.columns
        return self.column(image, index, column), column

    def column(self, image: np.ndarray, index: int, column: int) -> np.ndarray:
        return self.augment(image, augmentation_rng(self.seed, index, column))

    def described(self) -> dict[str, Any]:
        return {"kind": "augmented", "columns": self.columns, "seed": self.seed, "augment": asdict(self.augment)}
