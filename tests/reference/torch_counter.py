"""Cost of a PyTorch network by the LFR 2019 counter's formulas, one hook for each convolution and dense layer.

Resizing within the network, for which the challenge has no rule, costs 4 products and 3 sums for each output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@dataclass
class TorchCost:
    flops: int = 0
    macs: int = 0
    parameters: int = 0
    norm_statistics: int = 0


def convolution_flops(layer: nn.Conv2d, height: int, width: int) -> int:
    """Truncated as the counter truncates: the "-1" of a layer without bias is divided by the groups as well."""
    products = 2 * layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1] - (layer.bias is None)
    return products * height * width * layer.out_channels // layer.groups


def convolution_macs(layer: nn.Conv2d, height: int, width: int) -> int:
    return layer.weight[0].numel() * height * width * layer.out_channels


def dense_flops(layer: nn.Linear) -> int:
    return 2 * layer.in_features * layer.out_features - (layer.out_features if layer.bias is None else 0)


class _Resizing(TorchFunctionMode):
    """Adds bilinear resizing, which is a function and no layer."""

    def __init__(self, cost: TorchCost) -> None:
        super().__init__()
        self.cost = cost

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is F.interpolate:
            assert (kwargs or {})["mode"] == "bilinear"
            self.cost.macs += 4 * found[0].numel()
            self.cost.flops += 7 * found[0].numel()
        return found


def torch_cost(network: nn.Module, size_px: int = 112) -> TorchCost:
    """Count one image; parameters on the meta device cost no memory."""
    cost = TorchCost(parameters=sum(p.numel() for p in network.parameters()))
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    cost.norm_statistics = sum(2 * m.num_features for m in norms)

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            cost.flops += convolution_flops(layer, *output.shape[2:])
            cost.macs += convolution_macs(layer, *output.shape[2:])
        elif isinstance(layer, nn.Linear):
            cost.flops += dense_flops(layer)
            cost.macs += layer.weight.numel()

    handles = [m.register_forward_hook(hook) for m in network.modules()]
    device = next(network.parameters()).device
    with torch.no_grad(), _Resizing(cost):
        network.eval()(torch.zeros(1, 3, size_px, size_px, device=device))
    for handle in handles:
        handle.remove()
    return cost
