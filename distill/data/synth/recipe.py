"""The recipe of a folder of synthetic faces, and the check of the folder against it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from distill.errors import UserError
from distill.files.hashing import sha256
from distill.files.json_file import read_plain

MANIFEST = "synthfaces.json"
VERSION = 2
"""Raise it with every change that changes pixels."""
MAX_COUNT = 1 << 24
FOLDS = 10
_PEOPLE_PER_FOLD = 2


@dataclass(frozen=True)
class FacesRecipe:
    """``identities`` people with ``pictures`` each to train on; two sets of ``pairs`` of other people."""

    identities: int
    pictures: int
    pairs: int
    seed: int
    version: int = VERSION

    def check(self) -> None:
        """Raise UserError for invalid numbers."""
        least = 2 * _PEOPLE_PER_FOLD * FOLDS
        limits = {
            "identities": (1, MAX_COUNT),
            "pictures": (1, MAX_COUNT),
            "pairs": (least, MAX_COUNT),
            "seed": (0, (1 << 32) - 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"data.reader.{name} is {value}; expected {low} to {high}")
        if self.pairs % (2 * FOLDS):
            raise UserError(
                f"data.reader.pairs is {self.pairs}; expected a multiple of {2 * FOLDS}: "
                f"{FOLDS} folds, each half of the same people"
            )

    def identity(self) -> str:
        """Identity of the generated set, the same on machines that round single pixels differently."""
        return f"synthfaces {json.dumps(asdict(self), sort_keys=True)}"


def identity_of(path: Path) -> str | None:
    """Identity of a file of a folder of synthetic faces, the same on any machine; None if it is not as generated."""
    if not path.with_name(MANIFEST).is_file():
        return None
    made, digests = _read_manifest(path.parent)
    if digests.get(path.name) != sha256(path):
        return None
    return f"synthfaces {json.dumps(made, sort_keys=True)} {path.name}"


def write_manifest(folder: Path, recipe: FacesRecipe) -> None:
    """Write the recipe and the sha256 of every other file into ``folder``."""
    digests = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    content = json.dumps({"recipe": asdict(recipe), "sha256": digests}, indent=1)
    (folder / MANIFEST).write_text(content + "\n")


def is_made(folder: Path, recipe: FacesRecipe) -> bool:
    """Whether ``folder`` holds the complete data set of ``recipe``; false if it has to be generated.

    Raises UserError if it holds something else, which must not be removed.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; expected a folder or nothing: choose another data.root")
    if not folder.exists() or not any(folder.iterdir()):
        return False
    made, digests = _read_manifest(folder)
    if made != asdict(recipe):
        differs = [f"{k} {made.get(k)!r}, not {v!r}" for k, v in asdict(recipe).items() if made.get(k) != v]
        raise UserError(
            f"{folder}: holds synthetic faces of another recipe ({'; '.join(differs)}); "
            "expected the same: choose another data.root or remove the folder"
        )
    return all((folder / name).is_file() and sha256(folder / name) == digest for name, digest in digests.items())


def _read_manifest(folder: Path) -> tuple[dict, dict[str, str]]:
    path = folder / MANIFEST
    try:
        content = read_plain(path, "a manifest of synthetic faces")
        return {**content["recipe"]}, {**content["sha256"]}
    except FileNotFoundError:
        raise UserError(
            f"{folder}: holds no {MANIFEST}; expected an empty or absent folder for synthetic faces: "
            "faces of your own are data=recordio or data=folder"
        ) from None
    except (OSError, UserError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: is damaged or no manifest of synthetic faces; remove {folder} to make it again"
        ) from error
