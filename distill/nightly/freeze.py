"""From folders of drops to a manifest: new pictures are read and hashed once; known drops must be unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from distill.errors import UserError
from distill.nightly.drop import Listing, drop_names, list_drop, namespace, pictures_of, record_stamp
from distill.nightly.manifest import DataManifest, FrozenPictures, LeftOut
from distill.nightly.picture_hashes import PictureHash, Progress, digests, first_of_same, hash_pictures


class _New(NamedTuple):
    """A drop that no night has frozen yet."""

    name: str
    listing: Listing
    seen: list[PictureHash]


def freeze(
    root: Path,
    before: DataManifest | None,
    progress: Progress = lambda images: None,
    report: Callable[[str], None] = lambda line: None,
) -> DataManifest:
    """The manifest of all drops below ``root``: those of ``before``, unchanged, and what has come since.

    Pure but for what it reads. A known file is read again only where its stamp has changed. ``progress`` gets the
    numbers of pictures that were read, ``report`` a line about each new drop. Raises ``UserError`` where a known drop
    has changed, where a link leads out of a drop, and where a RecordIO drop is incomplete.
    """
    there, people = drop_names(root), [] if before is None else list(before.people)
    known = [] if before is None else [_known(root, drop, people, there, progress) for drop in before.drops]
    names = [name for name in there if name not in {drop.drop for drop in known}]
    listings = {name: list_drop(root / name) for name in names}
    for name, listing in listings.items():
        if listing is not None:
            report(f"{root / name}: {listing.summary}")
    new = [_hashed(root, name, listing, progress) for name, listing in listings.items() if listing is not None]
    empty = [name for name, listing in listings.items() if listing is None]
    drops = _admitted(known, new, people)
    return DataManifest(str(root.absolute()), drops, people, len(known), empty)


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


def _hashed(root: Path, name: str, listing: Listing, progress: Progress) -> _New:
    return _New(name, listing, hash_pictures(pictures_of(root / name, listing.kind), listing.names, True, progress))


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
    """Undamaged pictures of a drop, with each one's person and sha256 uint8 [n 32]."""

    drop: str
    names: list[str]
    people: list[str]
    sha256: np.ndarray


def _owned(drop: _New) -> _Owned:
    rows = _undamaged_rows(drop)
    listing = drop.listing
    hashes = digests([drop.seen[row].sha256 for row in rows])
    return _Owned(drop.name, [listing.names[row] for row in rows], [listing.people[row] for row in rows], hashes)


def _undamaged_rows(drop: _New) -> list[int]:
    return [row for row, seen in enumerate(drop.seen) if not seen.damage]


def _owner(owned: Sequence[_Owned], ends: np.ndarray, index: int) -> tuple[str, str, str]:
    """Drop, name and person of a picture, by its place among all of them."""
    which = int(np.searchsorted(ends, index, side="right"))
    row = int(index - (ends[which - 1] if which else 0))
    return owned[which].drop, owned[which].names[row], owned[which].people[row]


def _frozen(
    drop: _New, undamaged: _Owned, copies: dict[int, tuple[str, str, str]], numbers: dict[str, int]
) -> FrozenPictures:
    """A new drop without its damaged pictures and its ``copies`` (row among the undamaged: of which picture)."""
    listing, rows = drop.listing, np.array(_undamaged_rows(drop), np.int64)
    kept = [row for row in range(len(undamaged.names)) if row not in copies]
    damaged = [
        LeftOut(name, "damaged", seen.damage)
        for name, seen in zip(listing.names, drop.seen, strict=True)
        if seen.damage
    ]
    copied = [_copy(undamaged.names[row], undamaged.people[row], *owner) for row, owner in copies.items()]
    return FrozenPictures(
        drop.name,
        listing.kind,
        [undamaged.names[row] for row in kept],
        undamaged.sha256[kept],
        np.array([numbers.setdefault(undamaged.people[row], len(numbers)) for row in kept], np.int64),
        listing.stamps[rows[kept]],
        damaged + copied,
    )


def _copy(name: str, person: str, drop: str, twin: str, owner: str) -> LeftOut:
    """A copy; numbers of two RecordIO drops, or a number and a name, do not contradict each other."""
    if person == owner or namespace(person) != namespace(owner):
        return LeftOut(name, "duplicate", f"the same bytes as {drop}/{twin}", (drop, twin))
    text = f"the same picture as {drop}/{twin}, which is labelled {owner}; here it is labelled {person}"
    return LeftOut(name, "contradiction", text, (drop, twin))


def as_it_was(place: Path, known: FrozenPictures, people: Sequence[str], progress: Progress) -> FrozenPictures:
    """The drop in folder ``place`` with today's stamps; pictures whose stamps have changed are hashed again.

    Raises ``UserError`` where a picture that is used went or is another, or one came. One that is left out may go.
    ``people`` [classes] are the persons with their numbers.
    """
    if known.kind == "recordio" and len(known) and record_stamp(place) == known.stamps[0]:
        return known
    now = list_drop(place) or Listing(known.kind, [], [], np.empty(0, np.int64))
    stamp_of = dict(zip(now.names, now.stamps.tolist(), strict=True))
    _require_same_names(place, known, stamp_of)
    _require_same_people(place, known, people, dict(zip(now.names, now.people, strict=True)))
    stamps = np.array([stamp_of[name] for name in known.names], np.int64)
    _require_same_contents(place, known, np.flatnonzero(stamps != known.stamps), progress)
    return replace(known, stamps=stamps)


def _require_same_names(place: Path, known: FrozenPictures, now: Mapping[str, int]) -> None:
    gone = [name for name in known.names if name not in now]
    if gone:
        raise UserError(
            f"{place / gone[0]}: is gone ({len(gone)} of {len(known)} are), and an earlier night has frozen it; "
            "expected the drop as it was: put it back"
        )
    came = now.keys() - set(known.names) - {one.name for one in known.left_out}
    if came:
        raise UserError(
            f"{place / min(came)}: was not there when an earlier night froze the drop {known.drop}; expected that drop "
            "as it was: put new pictures into a new drop"
        )


def _require_same_people(place: Path, known: FrozenPictures, people: Sequence[str], now: Mapping[str, str]) -> None:
    """In folders, the name holds the person; labels of records may have been rewritten."""
    for name, number in zip(known.names, known.people.tolist(), strict=True):
        if now[name] != people[number]:
            raise UserError(
                f"{place / name}: has the label of {now[name]}, and had that of {people[number]} when an earlier night "
                "froze it; expected the drop as it was: put it back"
            )


def _require_same_contents(place: Path, known: FrozenPictures, rows: np.ndarray, progress: Progress) -> None:
    if not len(rows):
        return
    seen = hash_pictures(pictures_of(place, known.kind), [known.names[row] for row in rows], False, progress)
    for row, one in zip(rows.tolist(), seen, strict=True):
        was = known.sha256[row].tobytes()
        if one.sha256 != was:
            raise UserError(
                f"{place / known.names[row]}: has changed since an earlier night froze it "
                f"({one.damage or f'sha256 {one.sha256.hex()[:12]}...'}); expected sha256 {was.hex()[:12]}...: put the "
                "old file back, and new pictures into a new drop"
            )
