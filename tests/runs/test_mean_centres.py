"""Means of a teacher's embeddings, against a loop over single images in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from distill.data.decode import decode
from distill.data.faceset import DamagedImage, Joined
from distill.data.recordio import RecordIOSet
from distill.runs import mean_centres as centres
from distill.runs.mean_centres import mean_centres
from distill.types import UNLABELLED
from reference.tiny_onnx import TinyOnnx
from teachers.onnx_network import OnnxNetwork

TINY = TinyOnnx(width=6)


class Faulty:
    """A set of which some images are broken, one way or another."""

    def __init__(self, inner: RecordIOSet, unreadable: set[int], undecodable: set[int]) -> None:
        self._inner, self._unreadable, self._undecodable = inner, unreadable, undecodable
        self.labels, self.classes = inner.labels, inner.classes

    def __len__(self) -> int:
        return len(self._inner)

    def read(self, index: int) -> bytes:
        if index in self._unreadable:
            raise DamagedImage("no such record")
        return b"no picture" if index in self._undecodable else self._inner.read(index)

    def name(self, index: int) -> str:
        return self._inner.name(index)

    def fingerprint(self) -> str:
        return "faulty"

    def digest(self, index: int, encoded: bytes) -> int:
        return self._inner.digest(index, encoded)


@pytest.fixture
def faces(root: Path) -> RecordIOSet:
    return RecordIOSet(root)


@pytest.fixture
def embedder(teacher: Path) -> OnnxNetwork:
    return OnnxNetwork(teacher)


def slow_centres(faces: RecordIOSet | Faulty, skipped: set[int]) -> np.ndarray:
    sums = np.zeros((faces.classes, 6))
    for row in range(len(faces)):
        if row in skipped:
            continue
        crop = (decode(faces.read(row)).astype(np.float64).transpose(2, 0, 1) - 127.5) / 128
        for view in (crop, crop[:, :, ::-1]):
            (embedding,) = TINY.reference(view[None])
            sums[faces.labels[row]] += embedding / np.linalg.norm(embedding)
    return np.array([s / np.linalg.norm(s) if s.any() else s for s in sums])


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_as_a_loop_says_whatever_the_batch(faces, embedder, monkeypatch: pytest.MonkeyPatch, batch: int):
    monkeypatch.setattr(centres, "BATCH", batch)
    found = mean_centres(embedder, faces)
    np.testing.assert_allclose(found.numpy(), slow_centres(faces, set()), atol=2e-6)


def test_broken_images_do_not_count(faces, embedder):
    broken = Faulty(faces, {0, 7}, {1, 29})
    found = mean_centres(embedder, broken)
    np.testing.assert_allclose(found.numpy(), slow_centres(broken, {0, 1, 7, 29}), atol=2e-6)


def test_a_person_without_a_readable_image_has_a_row_of_zeros(faces, embedder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(centres, "BATCH", 2)  # so that whole batches are broken
    gone = set(np.flatnonzero(faces.labels == 2).tolist())
    found = mean_centres(embedder, Faulty(faces, gone, set()))
    assert torch.equal(found[2], torch.zeros(6))
    assert torch.allclose(found[[0, 1, 3, 4, 5]].norm(dim=1), torch.ones(5))


def test_transfer_images_belong_to_nobody(faces, embedder):
    joined = Joined(faces, [faces])
    assert (joined.labels == UNLABELLED).sum() == len(faces)
    torch.testing.assert_close(mean_centres(embedder, joined), mean_centres(embedder, faces))


def test_only_the_classes_that_are_asked_for(faces, embedder):
    found, all_of_them = mean_centres(embedder, faces, np.array([1, 4])), mean_centres(embedder, faces)
    torch.testing.assert_close(found[[1, 4]], all_of_them[[1, 4]])
    assert found[[0, 2, 3, 5]].abs().sum() == 0
