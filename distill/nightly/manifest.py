"""The frozen data of a night: which pictures of which drops, by sha256, and whose they are.

A manifest grows: drops are appended, a person's number is given at first sight and never changes, and what an earlier
night froze stays as it is. Pictures that are not used, damaged ones and copies, are named with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from distill.errors import UserError
from distill.files.json_file import read_json
from distill.nightly.drop import Kind
from distill.nightly.picture_hashes import SHA256_BYTES
from distill.nightly.results import FreezeResult

FORMAT = 1
MANIFEST = "manifest.json"

Reason = Literal["damaged", "duplicate", "contradiction"]
"""Why a picture is left out; a contradiction is a copy under another person's name."""


class Entry(NamedTuple):
    """One picture that is used."""

    drop: str
    name: str
    sha256: str
    person: int


@dataclass(frozen=True)
class LeftOut:
    """One picture that is not used, and why in a sentence; ``twin`` is the (drop, name) of which it is a copy."""

    name: str
    reason: Reason
    text: str
    twin: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class FrozenPictures:
    """The pictures of one drop: names [n], ``sha256`` uint8 [n 32], ``people`` int64 [n], ``stamps`` int64 [n].

    Stamps show whether a file may have changed since; they are not part of the data's identity.
    """

    drop: str
    kind: Kind
    names: list[str]
    sha256: np.ndarray
    people: np.ndarray
    stamps: np.ndarray
    left_out: list[LeftOut]

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self) -> str:
        """Hex sha256 of contents, order and people."""
        return hashlib.sha256(self.sha256.tobytes() + self.people.astype("<i8").tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class DataManifest:
    """``drops`` in order of first sight, of which earlier nights froze the first ``known``; they lie below ``place``.

    ``empty`` names the drops that held nothing. ``people`` [classes]: the person with each number.
    """

    place: str
    drops: Sequence[FrozenPictures]
    people: Sequence[str]
    known: int = 0
    empty: Sequence[str] = ()

    def __len__(self) -> int:
        return sum(map(len, self.drops))

    @property
    def classes(self) -> dict[str, int]:
        """Each person's number."""
        return {person: number for number, person in enumerate(self.people)}

    @property
    def entries(self) -> Iterator[Entry]:
        """The pictures that are used, in order."""
        for drop in self.drops:
            for name, digest, person in zip(drop.names, drop.sha256, drop.people.tolist(), strict=True):
                yield Entry(drop.drop, name, digest.tobytes().hex(), person)

    @property
    def known_images(self) -> int:
        """How many pictures, the first ones, earlier nights froze."""
        return sum(map(len, self.drops[: self.known]))

    @property
    def known_people(self) -> int:
        """How many people, with the first numbers, earlier nights froze."""
        return max((int(drop.people.max()) + 1 for drop in self.drops[: self.known] if len(drop)), default=0)

    def data_sha256(self) -> str:
        """Hex sha256 of the pictures that are used, their names and whose they are; the folder's place is not in it."""
        digest = hashlib.sha256(json.dumps(list(self.people)).encode())
        for drop in self.drops:
            if len(drop):
                digest.update(json.dumps([drop.drop, drop.kind, drop.names]).encode())
                digest.update(drop.fingerprint().encode())
        return digest.hexdigest()

    def summary(self) -> FreezeResult:
        """Counts for the night's record."""
        return FreezeResult(
            images=len(self),
            people=len(self.people),
            new_images=len(self) - self.known_images,
            new_people=len(self.people) - self.known_people,
            drops=[drop.drop for drop in self.drops if len(drop)],
            new_drops=[drop.drop for drop in self.drops[self.known :] if len(drop)],
            data_sha256=self.data_sha256(),
        )

    def to_json(self) -> str:
        return json.dumps(
            {
                "format": FORMAT,
                "place": self.place,
                "known": self.known,
                "empty": list(self.empty),
                "people": list(self.people),
                "drops": [_plain(drop) for drop in self.drops],
                "data_sha256": self.data_sha256(),
            }
        )


def read_manifest(folder: Path) -> DataManifest:
    """The manifest of a night's folder; ``UserError`` where it is missing, damaged or altered."""
    path = folder / MANIFEST
    absent = f"{folder} holds no {MANIFEST}; expected the folder of a night, such as nights/0001"
    raw = read_json(path, "what `make nightly` wrote", absent)
    if isinstance(raw, dict) and raw.get("format", FORMAT) != FORMAT:
        raise UserError(f"{path} has format {raw['format']!r}; expected {FORMAT}, which this version writes")
    try:
        drops = [_drop(entry, len(raw["people"])) for entry in raw["drops"]]
        manifest = DataManifest(str(raw["place"]), drops, raw["people"], int(raw["known"]), raw["empty"])
        found = manifest.data_sha256()
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} is damaged ({error}); expected what `make nightly` wrote") from error
    if found != raw.get("data_sha256"):
        raise UserError(f"{path} is damaged: its data_sha256 is not that of its entries; expected {found}")
    return manifest


def _plain(drop: FrozenPictures) -> dict[str, Any]:
    return {
        "drop": drop.drop,
        "kind": drop.kind,
        "names": drop.names,
        "sha256": [digest.tobytes().hex() for digest in drop.sha256],
        "people": drop.people.tolist(),
        "stamps": drop.stamps.tolist(),
        "left_out": [asdict(one) for one in drop.left_out],
    }


def _drop(raw: Mapping[str, Any], people: int) -> FrozenPictures:
    """One drop of a manifest's JSON; ``ValueError`` or ``KeyError`` where it is not as it was written."""
    names = [within(name) for name in raw["names"]]
    digests = np.frombuffer(bytes.fromhex("".join(raw["sha256"])), np.uint8).reshape(len(names), SHA256_BYTES)
    numbers, stamps = (np.array(raw[key], np.int64).reshape(len(names)) for key in ("people", "stamps"))
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < people:
        raise ValueError(f"drop {raw['drop']!r} has a person's number beyond 0..{people - 1}")
    if raw["kind"] not in get_args(Kind):
        raise ValueError(f"drop {raw['drop']!r} is of the kind {raw['kind']!r}")
    return FrozenPictures(within(raw["drop"]), raw["kind"], names, digests, numbers, stamps, _left_out(raw["left_out"]))


def _left_out(raw: Sequence[Mapping[str, Any]]) -> list[LeftOut]:
    return [
        LeftOut(str(one["name"]), one["reason"], str(one["text"]), None if one["twin"] is None else (*one["twin"],))
        for one in raw
    ]


def within(name: str) -> str:
    """The same relative path; ``ValueError`` where it leads upwards or begins at the root."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
        raise ValueError(f"{name!r} is no path within a drop")
    return name
