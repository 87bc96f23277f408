"""What every network shares: crops smaller than 112 px reach its head, and whole ones take no detour."""

from __future__ import annotations

import pytest
import torch

from distill.students.mobilefacenet import MobileFaceNet
from distill.students.vargnet import VarGNet
from distill.types import FaceNetwork, at_head_size
from teachers.iresnet import IResNet

NETWORKS = {
    "vargnet": lambda: VarGNet([8, 8, 16, 16], [1, 1, 1], last_channels=16, embedding_dim=8),
    "mobilefacenet": lambda: MobileFaceNet([1, 1, 1, 1], embedding_dim=8),
    "iresnet": lambda: IResNet([1, 1, 1, 1], embedding_dim=8),
}


@pytest.mark.parametrize("side_px", [32, 80, 112])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_small_crops(name: str, side_px: int) -> None:
    network: FaceNetwork = NETWORKS[name]().eval()
    found = network.forward_maps(torch.zeros(2, 3, side_px, side_px))
    assert found.embedding.shape == (2, 8)
    assert [m.shape[-1] for m in found.maps.values()] == [side_px // stride for stride in (2, 4, 8, 16)]


def test_maps_of_whole_crops_stay_as_they_are_and_smaller_ones_keep_their_mean() -> None:
    whole = torch.randn(1, 2, 7, 7)
    assert at_head_size(whole) is whole
    flat = torch.full((1, 2, 5, 5), 3.0)
    assert torch.allclose(at_head_size(flat), torch.full((1, 2, 7, 7), 3.0))
    ramp = torch.arange(5.0).expand(1, 1, 5, 5)
    assert at_head_size(ramp).mean() == pytest.approx(2.0)
