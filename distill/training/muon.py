"""Muon: momentum whose update of a weight matrix is made orthogonal, so that all directions are learned at one rate.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the scale that makes one
learning rate serve both halves, 0.2 * sqrt(larger side) (Liu et al., arXiv 2502.16982, eq. 4).
Deviations. ``torch.optim.Muon`` takes matrices only; here a convolution is the matrix [out, in * k * k] and a grouped
one a block for each of its groups, because groups share no input. All weights of one shape are orthogonalised as one
batch, which is most of the speed. All other parameters (norms, biases, slopes, class centres, projectors)
follow AdamW (arXiv 1711.05101) inside the same optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adamw import adamw

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""The authors' coefficients: singular values end between about 0.7 and 1.2 after five steps."""
STEPS = 5


def orthogonalised(matrices: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The nearest semi-orthogonal matrices [k m n], approximately: all singular values near 1; zeros stay zeros.

    The products are computed in ``dtype``; bfloat16 is what the authors use. None is that of ``matrices``.
    """
    a, b, c = NEWTON_SCHULZ
    # transpose so that m <= n: the products below are then m x m
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    # Frobenius norm >= largest singular value: all of them land in [0, 1], where the iteration converges. 1e-7 keeps
    # the update of a zero gradient 0; the norm is taken before rounding to ``dtype``
    x = (x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)).to(dtype)
    for _ in range(STEPS):
        square = x @ x.mT  # A = X X^T, (k, m, m)
        # X <- a X + (b A + c A^2) X: every singular value s becomes a s + b s^3 + c s^5, without an SVD
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


def layer_weights(network: nn.Module) -> dict[tuple[int, ...], list[Tensor]]:
    """The trainable weights of convolutions and dense layers by (groups of the layer, shape of the weight)."""
    found: dict[tuple[int, ...], list[Tensor]] = {}
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.requires_grad:
            groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
            found.setdefault((groups, *layer.weight.shape), []).append(layer.weight)
    return found


class Muon(Optimizer):
    """Muon for parameter groups with ``blocks`` (matrices per weight), AdamW for the others.

    All parameters of a ``blocks`` group have one shape [out ...], and are made orthogonal in ``dtype``. A parameter
    without a gradient is not changed, as in PyTorch.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        dtype: torch.dtype | None = None,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": 0.0, "blocks": 0}
        super().__init__(list(groups), defaults)
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            (self._orthogonal_step if group["blocks"] else self._adamw_step)(group)
        return loss

    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        weights, blocks = [w for w in group["params"] if w.grad is not None], group["blocks"]
        if not weights:
            return
        # (weights, out, in / groups, kh, kw), of dense layers (weights, out, in)
        updates = torch.stack([self._nesterov(w, group["momentum"]) for w in weights])
        # (weights * groups, out / groups, in / groups * kh * kw): output channels of a group are contiguous, so a plain
        # reshape cuts between groups
        matrices = updates.reshape(len(weights) * blocks, weights[0].shape[0] // blocks, -1)
        # an orthogonal m x n matrix has RMS 1 / sqrt(max(m, n)); 0.2 is the RMS of typical AdamW updates (eq. 4)
        scale = 0.2 * max(matrices.shape[1:]) ** 0.5
        turned = orthogonalised(matrices, self._dtype).reshape(updates.shape)
        for weight, update in zip(weights, turned, strict=True):
            # decoupled weight decay, as AdamW's, then the update
            weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)

    def _nesterov(self, weight: Tensor, momentum: float) -> Tensor:
        """Nesterov momentum: updates the running mean of gradients and returns gradient and mean, mixed."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["mean"] = torch.zeros_like(weight)
        mean = state["mean"].lerp_(weight.grad, 1 - momentum)
        # a new tensor: the gradient stays as backward left it
        return weight.grad.lerp(mean, momentum)

    def _adamw_step(self, group: dict[str, Any]) -> None:
        parameters = [p for p in group["params"] if p.grad is not None]
        for p in parameters:
            if not self.state[p]:
                zeros = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
                # a float tensor on the CPU, as torch.optim.AdamW has it: states are exchanged between the two
                self.state[p].update(zeros, step=torch.tensor(0.0))
        states = [self.state[p] for p in parameters]
        adamw(
            parameters,
            [p.grad for p in parameters],
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],  # then no max_exp_avg_sqs: only amsgrad has them
            [],
            [s["step"] for s in states],
            foreach=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
