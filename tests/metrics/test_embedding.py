from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.errors import UserError
from distill.metrics.embedding import embed_flip_sum, unit_vectors


class LeftHalf:
    """Embeds a crop as the mean colours of its left half, so that the mirror matters."""

    embedding_dim = 3

    def embed(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        return images[..., : images.shape[3] // 2].float().mean(dim=(2, 3))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 3, 112, 112), dtype=np.uint8)


def test_the_mirror_is_added_before_normalising(images):
    expected = images[..., :56].mean(axis=(2, 3)) + images[..., 56:].mean(axis=(2, 3))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(embed_flip_sum(LeftHalf(), images), expected, rtol=1e-5)


def test_batches_and_tensors_make_no_difference(images):
    seen: list[int] = []
    whole = embed_flip_sum(LeftHalf(), images)
    np.testing.assert_array_equal(embed_flip_sum(LeftHalf(), images, 3, seen.append), whole)
    np.testing.assert_array_equal(embed_flip_sum(LeftHalf(), torch.as_tensor(images), 1), whole)
    assert seen == [3, 3, 1]


def test_a_crop_that_comes_again_is_looked_at_once(images):
    class Counting(LeftHalf):
        seen = 0

        def embed(self, images):
            self.seen += len(images)
            return super().embed(images)

    counting, settled = Counting(), []
    rows = [4, 1, 4, 4, 6, 1]
    found = embed_flip_sum(counting, images[rows], 2, settled.append)
    np.testing.assert_array_equal(found, embed_flip_sum(LeftHalf(), images)[rows])
    assert counting.seen == 2 * 3
    assert settled == [5, 1]


def test_an_image_and_its_mirror_have_the_same_embedding(images):
    mirrored = np.ascontiguousarray(images[..., ::-1])
    np.testing.assert_allclose(embed_flip_sum(LeftHalf(), mirrored), embed_flip_sum(LeftHalf(), images), rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_rows_without_a_direction_are_named(value):
    vectors = np.ones((5, 4))
    vectors[3] = value
    with pytest.raises(UserError, match=r"left: 1 of 5 rows are zero, NaN or infinite, first row 3") as caught:
        unit_vectors(vectors, "left")
    assert "\n" not in str(caught.value)


def test_unit_vectors_are_unit_and_float64():
    found = unit_vectors(np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32), "v")
    assert found.dtype == np.float64
    np.testing.assert_allclose((found**2).sum(axis=1), 1)
