"""``centres.safetensors``: what an objective learned beside the student, with the people that its class centres are of.

Tensors: ``persons`` int64 [c]; the objective's state under its own names; ``moments.second`` [c d] where the optimiser
left any. The metadata name the tensors with a row for each person, and how persons are identified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from distill.data.faceset import FaceSet, Named, person_numbers
from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.losses.centres import Moments
from teachers.weights import read_weights

CENTRES = "centres.safetensors"
PERSONS, SECOND, ABOUT = "persons", "moments.second", "centres"


KnownBy = Literal["name", "number"]


@dataclass(frozen=True)
class ClassPeople:
    """The people of the classes 0, 1, ...: ``numbers`` int64 [c] that stay, made of names or the classes themselves."""

    numbers: np.ndarray
    known_by: KnownBy


@dataclass(frozen=True)
class Learned:
    """The state [...] of an objective; ``class_rows`` name those of its tensors whose rows are ``people``."""

    people: ClassPeople
    state: Mapping[str, Tensor]
    class_rows: tuple[str, ...]
    moments: Moments | None


def people_of(faces: FaceSet) -> ClassPeople:
    return ClassPeople(person_numbers(faces), "name" if isinstance(faces, Named) else "number")


def write_learned(path: Path, learned: Learned, run: str) -> None:
    """Write the file atomically; the same content gives the same bytes."""
    about = {"run": run, "known_by": learned.people.known_by, "class_rows": list(learned.class_rows)}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in learned.state.items()}
    tensors[PERSONS] = torch.from_numpy(learned.people.numbers)
    if learned.moments is not None:
        about["steps"] = learned.moments.steps
        tensors[SECOND] = learned.moments.second.contiguous()
    # One entry of metadata: the format keeps no order among several.
    write_atomic(path, save(tensors, {ABOUT: json.dumps(about, sort_keys=True)}))


def read_learned(path: Path) -> Learned:
    """Raises UserError for a file that is missing, damaged or no such file."""
    weights = read_weights(path)
    tensors = dict(weights.tensors)
    try:
        about = json.loads(weights.metadata[ABOUT])
        rows, known_by = tuple(about["class_rows"]), about["known_by"]
        numbers, second = tensors.pop(PERSONS), tensors.pop(SECOND, None)
        moments = None if second is None else Moments(second, int(about["steps"]))
        counts = {len(tensors[name]) for name in rows} | ({len(second)} if second is not None else set())
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} holds no class centres with their people; expected the {CENTRES} of a run") from error
    if counts - {len(numbers)} or known_by not in ("name", "number"):
        raise UserError(
            f"{path} has {len(numbers)} people and centres of {sorted(counts)}, known by {known_by!r}; "
            f"expected as many centres as people: make the {CENTRES} again"
        )
    return Learned(ClassPeople(numbers.numpy(), known_by), tensors, rows, moments)
