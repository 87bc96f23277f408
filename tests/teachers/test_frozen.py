from __future__ import annotations

import copy

import torch
from torch import nn

from reference.tiny_network import TinyNetwork
from teachers.teacher import Frozen


def parent() -> nn.ModuleDict:
    return nn.ModuleDict({"student": nn.Linear(2, 2), "teacher": Frozen(TinyNetwork())})


def test_invisible_to_its_parent() -> None:
    holder = parent()
    assert {n for n, _ in holder.named_parameters()} == {"student.weight", "student.bias"}
    assert list(holder.buffers()) == []
    assert set(holder.state_dict()) == {"student.weight", "student.bias"}
    assert not any(isinstance(m, nn.Conv2d | nn.BatchNorm2d) for m in holder.modules())


def test_train_cannot_wake_it() -> None:
    frozen = Frozen(TinyNetwork().train())
    nn.ModuleList([frozen]).train()
    frozen.train()
    assert not any(m.training for m in frozen.network.modules())
    before = copy.deepcopy(frozen.network.state_dict())
    frozen(torch.randn(4, 3, 14, 14))
    assert all(torch.equal(v, before[k]) for k, v in frozen.network.state_dict().items())


def test_gives_no_gradients() -> None:
    frozen = Frozen(TinyNetwork())
    x = torch.randn(2, 3, 14, 14, requires_grad=True)
    assert not frozen(x).requires_grad
    assert not frozen.forward_maps(x).maps["stage4"].requires_grad
    assert not any(p.requires_grad for p in frozen.network.parameters())


def test_to_reaches_it_through_the_parent() -> None:
    network = TinyNetwork()
    holder = nn.ModuleList([Frozen(network)])
    holder.double()
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    holder.to("meta")
    assert {p.device.type for p in network.parameters()} == {"meta"}
