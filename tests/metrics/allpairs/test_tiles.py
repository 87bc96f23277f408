"""Both kinds of tiles find what a mask finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.metrics.allpairs.tiles import EVERYWHERE, DeviceTiles, HostTiles

KINDS = [HostTiles(200), DeviceTiles(torch.device("cpu"))]
CUTS = [
    np.array(cuts, np.float32)
    for cuts in (
        [0.1, 0.12, 0.3, 0.35, 0.5, np.inf],
        [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, np.inf],
        [-3, np.inf],
        [0.2, 0.21],
    )
]


@pytest.mark.parametrize("tiles", KINDS)
@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("beyond", [EVERYWHERE, -30, 0, 17, 190])
def test_sifted_is_what_the_mask_says(tiles, cuts, beyond):
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(n, 8)).astype(np.float32) / 4 for n in (70, 190))
    products = tiles.multiply(tiles.hold(left), tiles.hold(right))
    values = products.numpy().copy()
    np.testing.assert_allclose(values, left @ right.T, atol=1e-6)
    found = tiles.sift(products, beyond, cuts)
    i, j = np.indices(values.shape)
    inside = j > i + beyond
    low, above, next_low, next_above, top = np.append(cuts, [np.inf] * 5)[:5]
    within = ((values >= low) & (values < above)) | ((values >= next_low) & (values < next_above))
    wanted = inside & (within | (values >= top))
    assert found.above == ((inside & (values >= above)).sum(), (inside & (values >= next_above)).sum())
    np.testing.assert_array_equal(np.sort(found.places), np.flatnonzero(wanted))
    np.testing.assert_array_equal(values.ravel()[found.places], found.products)
