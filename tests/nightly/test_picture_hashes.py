"""Copies are found as a loop over a dictionary finds them; damage is reported, not raised."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from distill.nightly.drop import FolderPictures
from distill.nightly.picture_hashes import digests, first_of_same, hash_pictures
from reference.drops import jpeg


def test_the_first_of_the_same_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    some = [hashlib.sha256(bytes([k])).digest() for k in range(40)]
    odd = [bytes(32), bytes(31) + b"\1", b"\1" + bytes(31), bytes(15) + b"\1" + bytes(16)]  # zeros end no hash
    hashes = [(some + odd)[k] for k in rng.integers(0, 44, 300)]
    first: dict[bytes, int] = {}
    slow = [first.setdefault(one, row) for row, one in enumerate(hashes)]
    assert first_of_same(digests(hashes)).tolist() == slow
    assert first_of_same(digests([])).shape == (0,)


def test_pictures_are_looked_at_in_order_however_many_threads_help(put: Callable[..., Path]):
    good = {f"p/{k:03}.jpg": jpeg(k, 0) for k in range(150)}
    place = put("d", {**good, "p/149.jpg": good["p/149.jpg"][:400], "p/148.jpg": jpeg(1, 1, 56)})
    counts: list[int] = []
    seen = hash_pictures(FolderPictures(place), [*good, "p/gone.jpg"], True, counts.append)
    assert [one.sha256 for one in seen[:148]] == [hashlib.sha256(good[name]).digest() for name in list(good)[:148]]
    assert [one.damage == "" for one in seen] == [True] * 148 + [False] * 3
    assert "56x56" in seen[148].damage
    assert "cannot be read" in seen[150].damage
    assert sum(counts) == 151
    assert hash_pictures(FolderPictures(place), ["p/149.jpg"], False, counts.append)[0].damage == ""
