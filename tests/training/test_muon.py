"""Muon against a loop over singular values, and AdamW inside of it against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from distill.training.muon import Muon, layer_weights, orthogonalised
from reference import muon as reference


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 6), (16, 72)])
def test_singular_values_end_near_one(shape: tuple[int, int]) -> None:
    matrices = random(3, *shape)
    found = orthogonalised(matrices).numpy()
    for one, turned in zip(matrices.numpy(), found, strict=True):
        np.testing.assert_allclose(turned, reference.iterated(one), atol=1e-9)
    values = np.linalg.svd(orthogonalised(matrices @ matrices.mT).numpy(), compute_uv=False)
    assert values.max() < 1.3


def test_well_conditioned_matrices_come_out_almost_orthogonal() -> None:
    matrix = random(6, 40)
    found = orthogonalised(matrix[None])[0].numpy()
    nearest = reference.nearest_orthogonal(matrix.numpy())
    cosine = (found * nearest).sum() / np.linalg.norm(found) / np.linalg.norm(nearest)
    assert cosine > 0.98
    assert abs(np.linalg.svd(found, compute_uv=False) - 1).max() < 0.35


def test_bfloat16_products_turn_the_same_way() -> None:
    matrices = random(3, 24, 50).float()
    exact, coarse = orthogonalised(matrices), orthogonalised(matrices, torch.bfloat16)
    assert coarse.dtype == torch.float32
    assert not torch.equal(exact, coarse)
    assert torch.nn.functional.cosine_similarity(exact.flatten(), coarse.flatten(), dim=0) > 0.999


def test_size_of_the_gradient_does_not_matter_and_zero_stays_zero() -> None:
    matrix = random(1, 4, 7)
    assert torch.allclose(orthogonalised(matrix), orthogonalised(1e-3 * matrix))
    assert torch.equal(orthogonalised(torch.zeros(2, 4, 7)), torch.zeros(2, 4, 7))


def test_steps_of_a_grouped_convolution_are_those_of_its_groups() -> None:
    layer = nn.Conv2d(6, 8, 3, groups=2, bias=False).double()
    twin = nn.Conv2d(6, 8, 3, groups=2, bias=False).double()
    weights = layer_weights(nn.ModuleList([layer, twin]))
    assert list(weights) == [(2, 8, 3, 3, 3)]
    before = layer.weight.detach().clone()
    optimizer = Muon([{"params": weights[2, 8, 3, 3, 3], "blocks": 2, "weight_decay": 0.1}], lr=0.05, momentum=0.9)
    gradients = [random(8, 3, 3, 3, k)[..., 0] * k for k in (1, 2, 3)]  # of different directions, so that means matter
    for gradient in gradients:
        layer.weight.grad, twin.weight.grad = gradient, -gradient
        optimizer.step()
    for rows in (slice(0, 4), slice(4, 8)):
        told = [g[rows].reshape(4, -1).numpy() for g in gradients]
        expected = reference.steps(before[rows].reshape(4, -1).numpy(), told, 0.05, 0.9, 0.1)
        np.testing.assert_allclose(layer.weight.detach()[rows].reshape(4, -1).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.95, None])
def test_many_steps_are_those_of_the_reference(shape: tuple[int, int], momentum: float | None) -> None:
    """With gradients that turn and change their size: one that only grows has the same mean at any momentum."""
    weight = nn.Parameter(random(*shape))
    before = weight.detach().numpy().copy()
    gradients = [random(*shape, k)[..., 0] * size for k, size in enumerate((1.0, 30.0, 0.1, 5.0, 1.0), 1)]
    given: dict[str, Any] = {} if momentum is None else {"momentum": momentum}
    optimizer = Muon([{"params": [weight], "blocks": 1, "weight_decay": 0.3}], lr=0.1, **given)
    for count, gradient in enumerate(gradients, 1):
        weight.grad = gradient.clone()
        optimizer.step()
        told = [g.numpy() for g in gradients[:count]]
        expected = reference.steps(before, told, 0.1, 0.95 if momentum is None else momentum, 0.3)
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
        assert torch.equal(weight.grad, gradient)


def test_a_step_is_computed_in_the_type_that_is_asked_for() -> None:
    weights = [nn.Parameter(torch.zeros(6, 20)) for _ in range(2)]
    for weight, dtype in zip(weights, (None, torch.bfloat16), strict=True):
        weight.grad = random(6, 20).float()
        Muon([{"params": [weight], "blocks": 1}], lr=1.0, dtype=dtype).step()
    scale = 0.2 * 20**0.5
    for weight, dtype in zip(weights, (None, torch.bfloat16), strict=True):
        turned = orthogonalised(random(6, 20).float()[None], dtype)[0]
        torch.testing.assert_close(weight.detach(), -scale * turned)
    assert not torch.equal(*weights)


def test_frozen_layers_are_not_turned() -> None:
    network = nn.ModuleList([nn.Linear(3, 4), nn.Linear(3, 4).requires_grad_(False)])
    (found,) = layer_weights(network).values()
    assert [id(weight) for weight in found] == [id(network.get_submodule("0").weight)]


@pytest.mark.parametrize("given", [{}, {"betas": (0.8, 0.9)}])
def test_the_rest_follows_adamw_whatever_is_given(given: dict) -> None:
    ours, theirs = (nn.Parameter(random(3, 4)) for _ in range(2))
    mine, other = (
        Muon([{"params": [ours]}], lr=0.01, **given),
        torch.optim.AdamW([theirs], 0.01, weight_decay=0, **given),
    )
    for k in range(5):
        ours.grad, theirs.grad = (random(3, 4, k + 1)[..., 0] * 1e-7 for _ in range(2))
        mine.step()
        other.step()
    assert torch.equal(ours, theirs)


def test_the_rest_follows_adamw_to_the_bit() -> None:
    ours, theirs = (nn.Parameter(random(7)) for _ in range(2))
    mine = Muon([{"params": [ours], "weight_decay": 0.2}], lr=0.01, betas=(0.8, 0.9))
    other = torch.optim.AdamW([theirs], lr=0.01, betas=(0.8, 0.9), weight_decay=0.2)
    for k in range(5):
        ours.grad, theirs.grad = (random(7) * (k - 2) for _ in range(2))
        mine.step()
        other.step()
    assert torch.equal(ours, theirs)


def test_what_has_no_gradient_stays() -> None:
    layers = [nn.Linear(3, 4) for _ in range(2)]
    before = [layer.weight.detach().clone() for layer in layers]
    groups = [{"params": [w.weight for w in layers], "blocks": 1}, {"params": [w.bias for w in layers]}]
    optimizer = Muon(groups, lr=0.1)
    optimizer.step()
    layers[0](torch.ones(2, 3)).sum().backward()
    optimizer.step()
    assert not torch.equal(layers[0].weight, before[0])
    assert torch.equal(layers[1].weight, before[1])


def test_continues_from_its_state() -> None:
    def run(stop: bool) -> Tensor:
        torch.manual_seed(0)
        layer = nn.Linear(3, 4)

        def make() -> Muon:
            return Muon([{"params": [layer.weight], "blocks": 1}, {"params": [layer.bias]}], lr=0.1)

        optimizer = make()
        for k in range(6):
            if stop and k == 3:
                state = optimizer.state_dict()
                optimizer = make()
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            layer(torch.full((2, 3), float(k))).square().sum().backward()
            optimizer.step()
        return layer.weight.detach().clone()

    assert torch.equal(run(stop=False), run(stop=True))


def test_it_goes_down() -> None:
    torch.manual_seed(0)
    layer, target = nn.Linear(8, 8, bias=False), torch.randn(8, 8)
    optimizer = Muon([{"params": [layer.weight], "blocks": 1}], lr=0.05)
    losses = []
    for _ in range(300):
        loss = (layer.weight - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0]
