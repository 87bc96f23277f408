"""Learning-rate factors against their formulas, and who is decayed."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from distill.errors import UserError
from distill.students.vargnet import VarGNet
from distill.training.muon import orthogonalised
from distill.training.optim import build_optimizer, parameter_groups
from distill.training.settings import LearningRate, OptimizerName, OptimizerSettings, ScheduleKind


def test_cosine_rises_to_one_and_ends_at_the_final_factor():
    rate = LearningRate(warmup_fraction=0.1, final_factor=0.01)
    factors = [rate.factor(step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == factors[10] == 1.0
    assert factors[-1] == pytest.approx(0.01)
    assert factors[55] == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * 45 / 89)))
    assert all(a > b for a, b in pairwise(factors[10:]))


def test_multistep_drops_at_the_milestones():
    rate = LearningRate(ScheduleKind.multistep, warmup_fraction=0.0, milestones=[0.5, 0.75], gamma=0.1)
    assert [round(rate.factor(s, 8), 6) for s in range(8)] == [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]


def test_one_step_runs_have_a_rate():
    assert LearningRate(warmup_fraction=0.0).factor(0, 1) == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: LearningRate("linear"),  # pyright: ignore[reportArgumentType]
        lambda: LearningRate(warmup_fraction=1.0),
        lambda: LearningRate(milestones=[0.5, 1.5]),
        lambda: OptimizerSettings("adam"),  # pyright: ignore[reportArgumentType]
        lambda: OptimizerSettings(lr=0.0),
        lambda: OptimizerSettings(OptimizerName.muon, head_lr_factor=0.0),
        lambda: OptimizerSettings(OptimizerName.sgd, momentum=0.0, nesterov=True),
    ],
)
def test_wrong_settings_are_one_line(wrong):
    with pytest.raises(UserError) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_norms_biases_and_slopes_do_not_decay():
    student = VarGNet([8, 8, 16, 16], [1, 1, 2], last_channels=16, embedding_dim=8)
    spared = {
        id(p)
        for module in student.modules()
        for name, p in module.named_parameters(recurse=False)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.PReLU) or name == "bias"
    }
    decayed, free = parameter_groups(student.parameters(), 0.05)
    assert {id(p) for p in free["params"]} == spared  # pyright: ignore[reportGeneralTypeIssues]
    assert decayed["weight_decay"] == 0.05
    assert free["weight_decay"] == 0.0


def test_muon_turns_the_layers_and_leaves_the_rest_to_adamw():
    student, heads = VarGNet([8, 16, 16, 16], [1, 1, 2], last_channels=16, embedding_dim=8), nn.Linear(8, 5)
    whole = nn.ModuleDict({"student": student, "heads": heads})
    settings = OptimizerSettings(OptimizerName.muon, lr=0.5, weight_decay=0.3, head_lr_factor=0.2)
    groups = build_optimizer(whole, settings, student).param_groups
    layers = {id(m.weight): m for m in student.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    turned = {id(p): group["blocks"] for group in groups if group["blocks"] for p in group["params"]}
    assert turned == {key: getattr(layer, "groups", 1) for key, layer in layers.items()}
    rest = {id(p): group["weight_decay"] for group in groups if not group["blocks"] for p in group["params"]}
    assert {group["lr"] for group in groups} == {0.5, 0.1}
    assert rest[id(heads.weight)] == 0.3
    assert rest[id(heads.bias)] == 0.0
    assert turned.keys() | rest.keys() == {id(p) for p in whole.parameters()}
    assert not turned.keys() & rest.keys()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sgd", {"momentum": 0.7, "nesterov": True}),
        ("adamw", {"betas": (0.8, 0.85), "eps": 1e-8}),
        ("muon", {"momentum": 0.7, "betas": (0.8, 0.85), "eps": 1e-8}),
    ],
)
def test_an_optimiser_is_told_all_that_the_settings_say(name, told: dict):
    layer = nn.Linear(2, 2)
    settings = OptimizerSettings(name, lr=0.3, weight_decay=0.5, betas=(0.8, 0.85), momentum=0.7, nesterov=True)
    for group in build_optimizer(layer, settings, layer).param_groups:
        assert {key: group[key] for key in told} == told
        assert group["lr"] == 0.3
        assert group["weight_decay"] == (0.5 if group["params"][0].ndim > 1 else 0.0)


@pytest.mark.parametrize("bf16", [True, False])
def test_muon_s_products_are_as_coarse_as_the_settings_say(bf16: bool):
    torch.manual_seed(0)
    layer, gradient = nn.Linear(20, 6, bias=False), torch.randn(6, 20)
    layer.weight.data.zero_()
    layer.weight.grad = gradient
    build_optimizer(
        layer, OptimizerSettings(OptimizerName.muon, lr=1.0, momentum=0.5, bf16_products=bf16), layer
    ).step()
    turned = orthogonalised(gradient[None], torch.bfloat16 if bf16 else None)[0]
    torch.testing.assert_close(layer.weight.detach(), -0.2 * 20**0.5 * turned, rtol=1e-4, atol=1e-5)


def test_frozen_parameters_are_in_no_group():
    layer = nn.Linear(3, 3).requires_grad_(False)
    assert parameter_groups(layer.parameters(), 0.1) == []


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_decay_shrinks_matrices_alone(name):
    layer = nn.Linear(2, 2)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    settings = OptimizerSettings(name, lr=0.1, weight_decay=0.5)  # pyright: ignore[reportArgumentType]
    optimizer = build_optimizer(layer, settings, layer)
    for p in layer.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert torch.allclose(layer.weight, before["weight"] * (1 - 0.05))
    assert torch.equal(layer.bias, before["bias"])
