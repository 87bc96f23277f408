"""A drop that an earlier night froze has to be as it was: what was trained on can then be shown again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from distill.nightly.drop import Listing, list_drop, pictures_of, record_stamp
from distill.nightly.hashed import Progress, look
from distill.nightly.manifest import FrozenPictures
from distill.types import UserError


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
    """Names of folders hold them; labels of records may have been written anew."""
    for name, number in zip(known.names, known.people.tolist(), strict=True):
        if now[name] != people[number]:
            raise UserError(
                f"{place / name}: has the label of {now[name]}, and had that of {people[number]} when an earlier night "
                "froze it; expected the drop as it was: put it back"
            )


def _require_same_contents(place: Path, known: FrozenPictures, rows: np.ndarray, progress: Progress) -> None:
    if not len(rows):
        return
    seen = look(pictures_of(place, known.kind), [known.names[row] for row in rows], False, progress)
    for row, one in zip(rows.tolist(), seen, strict=True):
        was = known.sha256[row].tobytes()
        if one.sha256 != was:
            raise UserError(
                f"{place / known.names[row]}: has changed since an earlier night froze it "
                f"({one.damage or f'sha256 {one.sha256.hex()[:12]}...'}); expected sha256 {was.hex()[:12]}...: put the "
                "old file back, and new pictures into a new drop"
            )
