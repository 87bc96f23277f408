"""A block's step function depends on neither strip, tile, thread nor device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.metrics.allpairs.bands import merged
from distill.metrics.allpairs.block import Scorer
from distill.metrics.allpairs.engine import Engine, Shape, shape_for
from distill.metrics.allpairs.exact_score import error_bound
from distill.metrics.allpairs.pairing import Pairing
from distill.metrics.allpairs.rescore import InaccurateProduct
from distill.metrics.allpairs.tiles import DeviceTiles
from distill.metrics.allpairs.worker import Keeping
from metrics.allpairs.crowd import crowd
from reference import allpairs as slow

BANDS = merged([(-0.25, -0.1), (0.25, 0.45), (0.7, np.inf)], error_bound(12))
KEEPING = Keeping(0.8, 10_000, 0.5)
PAIRINGS = {"one set": Pairing(crowd(150)), "rectangle": Pairing(crowd(150), crowd(110, seed=1))}
SHAPES = [Shape(1000, 1000, 1), Shape(1000, 40, 3), Shape(37, 16, 2), Shape(8, 8, 1)]


def scorer(pairing: Pairing, shape: Shape) -> Scorer:
    return Scorer(pairing, BANDS, KEEPING, Engine(), shape)


def whole(pairing: Pairing, made: Scorer) -> tuple[np.ndarray, np.ndarray]:
    steps, kept = made.score(range(len(pairing.gallery)), range(len(pairing.right))).together()
    return steps, np.sort(kept)


@pytest.mark.parametrize("name", PAIRINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_finds_what_the_loop_finds(name, shape):
    pairing = PAIRINGS[name]
    steps, kept = whole(pairing, scorer(pairing, shape))
    other = () if pairing.probes is None else (pairing.probes.features, pairing.probes.identities)
    scores, same = slow.scored(pairing.gallery.features, pairing.gallery.identities, *other)
    for score, impostor, genuine in steps.T:
        assert impostor == (scores[~same] >= score).sum()
        assert genuine == (scores[same] >= score).sum()
    inside = [s for s in set(scores.tolist()) if -0.25 <= s < -0.1 or 0.25 <= s < 0.45 or s >= 0.7]
    assert set(inside) == set(steps[0].tolist()) - {-0.1, 0.45, np.inf}
    tail = kept[~kept["genuine"]]
    np.testing.assert_array_equal(np.sort(tail["score"]), np.sort(scores[~same & (scores >= 0.8)]))
    assert len(tail) > 10
    assert (kept["genuine"].sum() / same.sum()) == pytest.approx(0.5, abs=0.1)
    units = np.array([slow.unit_row(row.tolist()) for row in pairing.right.features])
    gallery = np.array([slow.unit_row(row.tolist()) for row in pairing.gallery.features])
    for pair in kept:
        assert pair["score"] == gallery[pair["left"]] @ units[pair["right"]]


@pytest.mark.parametrize("name", PAIRINGS)
def test_shapes_devices_and_blocks_agree_to_the_bit(name):
    pairing = PAIRINGS[name]
    first = whole(pairing, scorer(pairing, SHAPES[0]))
    device = scorer(pairing, SHAPES[1])
    device.tiles = [DeviceTiles(torch.device("cpu"))]
    for made in (*(scorer(pairing, shape) for shape in SHAPES[1:]), device):
        again = whole(pairing, made)
        np.testing.assert_array_equal(again[0], first[0])
        np.testing.assert_array_equal(again[1], first[1])


def test_a_crowded_tail_is_not_kept_but_counted():
    pairing = PAIRINGS["one set"]
    few = Scorer(pairing, BANDS, Keeping(0.7, 5, 0.0), Engine(), SHAPES[2])
    steps, kept = few.score(range(150), range(150)).together()
    assert len(kept) <= 5 * SHAPES[2].threads
    np.testing.assert_array_equal(steps, whole(pairing, scorer(pairing, SHAPES[2]))[0])


def test_products_of_less_than_float32_are_noticed():
    class Half(DeviceTiles):
        def multiply(self, left, right):
            return torch.mm(left.bfloat16(), right.bfloat16().T).float()

    made = scorer(PAIRINGS["one set"], SHAPES[0])
    made.tiles = [Half(torch.device("cpu"))]
    with pytest.raises(InaccurateProduct, match="is TF32 or bf16 on"):
        made.score(range(150), range(150))


def test_the_bound_sets_the_sizes():
    assert shape_for(Engine(), 512, 2) == Shape((2 << 30) // (32 * 512), 1536, 2)
    small = shape_for(Engine(max_memory_bytes=1 << 20), 512, 2)
    assert 2 * small.strip * 512 * 4 + 2 * small.tile**2 * 12 <= 1 << 19
    with pytest.raises(UserError, match="max_memory_bytes is 1000; 512 columns need 131072 or more"):
        shape_for(Engine(max_memory_bytes=1000), 512, 2)
