"""Class centres from a store, for any number of classes, and kept distances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from distill.signals import set_outputs as extras
from distill.signals.checksummed import DamagedFile
from distill.signals.set_outputs import (
    distances_path,
    mean_centres,
    read_centres,
    read_distances,
    write_centres,
    write_distances,
)
from distill.signals.store import Store
from reference.listed_faces import Listed

Write = Callable[..., tuple]


def slow(store: Store, labels: np.ndarray, of: int) -> torch.Tensor:
    total = torch.zeros(6, dtype=torch.float64)
    for index in np.flatnonzero(labels == of):
        for column in (0, 1):
            total += normalize(store.rows(np.array([index]), np.array([column]))["embedding"].double(), dim=1)[0]
    return normalize(total, dim=0)


@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_centres_are_those_of_a_loop(write: Write, monkeypatch: pytest.MonkeyPatch, piece: int):
    monkeypatch.setattr(extras, "_PIECE_IMAGES", piece)
    labels = np.array([4, 0, -1, 2, 2, 4, 0, -1] * 3)[:23].astype(np.int64)
    faces = Listed(labels=labels)
    folder, _, _ = write(faces)
    store = Store(folder, faces)
    found = mean_centres(store, labels, faces.classes)
    assert found[1].abs().sum() == 0
    for label in (0, 2, 4):
        torch.testing.assert_close(found[label].double(), slow(store, labels, label), atol=1e-3, rtol=0)


@pytest.mark.parametrize("last", [40_000, 2**24 + 5])
def test_class_numbers_are_exact_beyond_int16_and_float32(write: Write, last: int):
    """2^24 + 5 is no float32, and its neighbour 2^24 + 4 is."""
    labels = np.array([last - 1, last, 0] * 8, np.int64)[:23]
    faces = Listed(labels=labels)
    folder, _, _ = write(faces)
    store = Store(folder, faces)
    found = mean_centres(store, labels, last + 1)
    assert found.shape == (last + 1, 6)
    assert torch.count_nonzero(found.any(1)) == 3
    for label in (0, last - 1, last):
        torch.testing.assert_close(found[label].double(), slow(store, labels, label), atol=1e-3, rtol=0)


def test_an_image_that_could_not_be_read_counts_nothing(write: Write):
    faces = Listed(broken=(0, 5), labels=np.array([0, 1] + [2] * 21))
    folder, _, _ = write(faces, max_damaged=2)
    found = mean_centres(Store(folder, faces), faces.labels, 3)
    assert found[0].abs().sum() == 0
    assert torch.isfinite(found).all()
    assert float(found[2].float().norm()) == pytest.approx(1, abs=1e-3)


def test_centres_and_distances_are_kept_and_checked(write: Write):
    folder, manifest, _ = write(Listed())
    centres, distances = torch.randn(5, 6).half(), np.random.default_rng(0).random(7)
    write_centres(folder, manifest, centres)
    write_distances(folder, manifest, "abc", distances)
    torch.testing.assert_close(read_centres(folder, manifest), centres.float())
    np.testing.assert_array_equal(read_distances(folder, manifest, "abc"), distances)
    assert read_distances(folder, manifest, "abd") is None
    for path in (folder / extras.CENTRES, distances_path(folder, "abc")):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(DamagedFile, match="centres"):
        read_centres(folder, manifest)
    with pytest.raises(DamagedFile, match="pairs"):
        read_distances(folder, manifest, "abc")
