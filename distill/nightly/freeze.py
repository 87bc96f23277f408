"""From folders of drops to a manifest: what is new is read once, hashed and tried; what is known must be as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from distill.nightly.drop import Listing, drop_names, list_drop, namespace, pictures_of
from distill.nightly.hashed import Progress, Seen, digests, first_of_same, look
from distill.nightly.manifest import FrozenPictures, LeftOut, Manifest
from distill.nightly.unchanged import as_it_was
from distill.types import UserError


class _New(NamedTuple):
    """A drop that no night has frozen yet."""

    name: str
    listing: Listing
    seen: list[Seen]


def freeze(
    root: Path,
    before: Manifest | None,
    progress: Progress = lambda images: None,
    tell: Callable[[str], None] = lambda line: None,
) -> Manifest:
    """The manifest of all drops below ``root``: those of ``before``, unchanged, and what has come since.

    Pure but for what it reads. A known file is read again only where its stamp has changed. ``progress`` gets the
    numbers of pictures that were read, ``tell`` what each new drop holds and what of it is not read. Raises
    ``UserError`` where a known drop has changed, where a link leads out of a drop, and where a RecordIO drop is not
    whole.
    """
    there, people = drop_names(root), [] if before is None else list(before.people)
    known = [] if before is None else [_known(root, drop, people, there, progress) for drop in before.drops]
    names = [name for name in there if name not in {drop.drop for drop in known}]
    listings = {name: list_drop(root / name) for name in names}
    for name, listing in listings.items():
        if listing is not None:
            tell(f"{root / name}: {listing.told}")
    new = [_looked_at(root, name, listing, progress) for name, listing in listings.items() if listing is not None]
    empty = [name for name, listing in listings.items() if listing is None]
    drops = _admitted(known, new, people)
    return Manifest(str(root.absolute()), drops, people, len(known), empty)


def _known(
    root: Path, drop: FrozenPictures, people: Sequence[str], there: Sequence[str], progress: Progress
) -> FrozenPictures:
    if drop.drop in there:
        return as_it_was(root / drop.drop, drop, people, progress)
    if not len(drop):
        return drop
    raise UserError(
        f"{root / drop.drop}: is gone, and an earlier night has frozen {len(drop)} pictures of it; expected the drop "
        "as it was: put it back"
    )


def _looked_at(root: Path, name: str, listing: Listing, progress: Progress) -> _New:
    return _New(name, listing, look(pictures_of(root / name, listing.kind), listing.names, True, progress))


def _admitted(known: Sequence[FrozenPictures], new: Sequence[_New], people: list[str]) -> list[FrozenPictures]:
    """All drops, with the pictures of new ones that are neither damaged nor copies; ``people`` gets who is new."""
    owned = [_Owned(drop.drop, drop.names, [people[number] for number in drop.people], drop.sha256) for drop in known]
    owned += [_owned(drop) for drop in new]
    ends = np.cumsum([len(one.names) for one in owned])
    first = first_of_same(np.concatenate([digests([]), *(one.sha256 for one in owned)]))
    numbers = {person: number for number, person in enumerate(people)}
    drops = list(known)
    for at, drop in enumerate(new, len(known)):
        begin = int(ends[at - 1]) if at else 0
        taken = first[begin : ends[at]] == np.arange(begin, ends[at])
        copies = {row: _owner(owned, ends, first[begin + row]) for row in np.flatnonzero(~taken).tolist()}
        drops.append(_frozen(drop, owned[at], copies, numbers))
    people[:] = numbers
    return drops


class _Owned(NamedTuple):
    """Whole pictures of a drop, with each one's person and sha256 uint8 [n 32]."""

    drop: str
    names: list[str]
    people: list[str]
    sha256: np.ndarray


def _owned(drop: _New) -> _Owned:
    rows = _whole_rows(drop)
    listing = drop.listing
    hashes = digests([drop.seen[row].sha256 for row in rows])
    return _Owned(drop.name, [listing.names[row] for row in rows], [listing.people[row] for row in rows], hashes)


def _whole_rows(drop: _New) -> list[int]:
    return [row for row, seen in enumerate(drop.seen) if not seen.damage]


def _owner(owned: Sequence[_Owned], ends: np.ndarray, index: int) -> tuple[str, str, str]:
    """Drop, name and person of a picture, by its place among all of them."""
    which = int(np.searchsorted(ends, index, side="right"))
    row = int(index - (ends[which - 1] if which else 0))
    return owned[which].drop, owned[which].names[row], owned[which].people[row]


def _frozen(
    drop: _New, whole: _Owned, copies: dict[int, tuple[str, str, str]], numbers: dict[str, int]
) -> FrozenPictures:
    """A new drop without its damaged pictures and its ``copies`` (row among whole ones: of which picture)."""
    listing, rows = drop.listing, np.array(_whole_rows(drop), np.int64)
    kept = [row for row in range(len(whole.names)) if row not in copies]
    damaged = [
        LeftOut(name, "damaged", seen.damage)
        for name, seen in zip(listing.names, drop.seen, strict=True)
        if seen.damage
    ]
    copied = [_copy(whole.names[row], whole.people[row], *owner) for row, owner in copies.items()]
    return FrozenPictures(
        drop.name,
        listing.kind,
        [whole.names[row] for row in kept],
        whole.sha256[kept],
        np.array([numbers.setdefault(whole.people[row], len(numbers)) for row in kept], np.int64),
        listing.stamps[rows[kept]],
        damaged + copied,
    )


def _copy(name: str, person: str, drop: str, twin: str, owner: str) -> LeftOut:
    """A copy; numbers of two RecordIO drops, or a number and a name, do not contradict each other."""
    if person == owner or namespace(person) != namespace(owner):
        return LeftOut(name, "duplicate", f"the same bytes as {drop}/{twin}", (drop, twin))
    told = f"the same picture as {drop}/{twin}, which is said to be {owner}; here it is said to be {person}"
    return LeftOut(name, "contradiction", told, (drop, twin))
