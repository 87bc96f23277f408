"""Pooling that is interrupted and resumes, to the byte; and embeddings that are not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.data.damage import Damage
from distill.data.ijb import LooseFaces, find_ijb, read_faces
from distill.errors import UserError
from distill.features.template_sums import Bound, Pooling, pool_images
from reference import ijb_layout

HOW = Pooling(flip=True, detector_score=True, batch_size=7)


class Colours:
    """Embeds a crop as mean colours of its left half; goes wrong at image number ``breaks_at``."""

    embedding_dim = 3

    def __init__(self, breaks_at: int | None = None, how: str = "") -> None:
        self.seen, self._breaks_at, self._how = 0, breaks_at, how

    def embed(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        found = images[..., :56].float().mean(dim=(2, 3))
        if self._breaks_at is not None and self.seen >= self._breaks_at:
            if self._how == "killed":
                raise KeyboardInterrupt
            found[2] = torch.nan
        return found


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory):
    return read_faces(find_ijb(ijb_layout.small().write(tmp_path_factory.mktemp("ijb") / "IJBC")))


@pytest.mark.parametrize("killed_at", [1, 20, 100])
def test_a_killed_run_goes_on_and_leaves_the_same_file(faces, tmp_path: Path, killed_at: int):
    whole = pool_images(Colours(), faces, HOW, Bound(tmp_path / "whole.npz", "a"), Damage(0))
    with pytest.raises(KeyboardInterrupt):
        pool_images(
            Colours(killed_at, "killed"), faces, HOW, Bound(tmp_path / "parts.npz", "a"), Damage(0), saved_every_s=0
        )
    rest = Colours()
    np.testing.assert_array_equal(pool_images(rest, faces, HOW, Bound(tmp_path / "parts.npz", "a"), Damage(0)), whole)
    assert (tmp_path / "parts.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    done = (killed_at - 1) // 14 * 7  # batches of 7, each seen twice
    assert rest.seen == 2 * (len(faces) - done)


def test_a_finished_pool_is_not_made_again_unless_the_key_differs(faces, tmp_path: Path, capsys):
    pool_images(Colours(), faces, HOW, Bound(tmp_path / "a.npz", "a"), Damage(0))
    again, other = Colours(), Colours()
    pool_images(again, faces, HOW, Bound(tmp_path / "a.npz", "a"), Damage(0))
    pool_images(other, faces, HOW, Bound(tmp_path / "a.npz", "b"), Damage(0))
    assert (again.seen, other.seen) == (0, 2 * len(faces))
    assert "was made with another network, set or options" in capsys.readouterr().out


def test_an_embedding_that_is_no_number_names_its_image(faces, tmp_path: Path):
    with pytest.raises(UserError, match=r"loose_crop/10\.jpg: its embedding is NaN or infinite"):
        pool_images(Colours(15, "nan"), faces, HOW, Bound(tmp_path / "a.npz", "a"), Damage(0))


def test_the_other_images_of_a_medium_count_for_one_that_cannot_be_read(tmp_path: Path):
    """As if the set did not list it: a frame, a whole medium, and a whole template."""
    small = ijb_layout.small()
    root = small.write(tmp_path / "IJBC")
    faces = read_faces(find_ijb(root))
    lost = [2, 3, 9, 10, 11]  # a frame of the first template, the photograph of the second, all of the fourth
    for row in lost:
        faces.path(row).write_bytes(b"torn")
    damage = Damage(5)
    found = pool_images(Colours(), faces, HOW, Bound(tmp_path / "a.npz", "a"), damage)
    assert list(damage.met) == lost
    kept = np.delete(np.arange(len(faces)), lost)
    fewer = LooseFaces(
        faces.folder,
        [faces.names[row] for row in kept.tolist()],
        faces.template[kept],
        faces.medium[kept],
        faces.points_px[kept],
        faces.score[kept],
    )
    expected = pool_images(Colours(), fewer, HOW, Bound(tmp_path / "b.npz", "b"), Damage(0))
    gone = ~np.isin(np.unique(faces.template), faces.template[kept])
    assert gone.sum() == 1
    np.testing.assert_allclose(found[~gone], expected, rtol=1e-12)
    assert not found[gone].any()
    again = Colours()
    counted = Damage(5)
    np.testing.assert_array_equal(pool_images(again, faces, HOW, Bound(tmp_path / "a.npz", "a"), counted), found)
    assert list(counted.met) == lost
    with pytest.raises(UserError, match="damaged, number 5 of this run; max_damaged allows 4"):
        pool_images(Colours(), faces, HOW, Bound(tmp_path / "c.npz", "c"), Damage(4))
