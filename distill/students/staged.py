"""The forward pass that all students share: a stem, stages whose outputs are the network's maps, and a head."""

from __future__ import annotations

from torch import Tensor, nn

from distill.types import FaceNetwork, Output, at_head_size


def through_stages(network: FaceNetwork, stem: nn.Module, head: nn.Module, x: Tensor) -> Output:
    """The embedding of crops [b 3 h w] and the maps: ``network`` has a submodule by the name of each."""
    maps: dict[str, Tensor] = {}
    x = stem(x)
    for name in network.map_channels:
        # (b, c, 56, 56) of stage1 down to (b, c, 7, 7) of stage4, for crops of 112 px
        x = maps[name] = network.get_submodule(name)(x)
    return Output(head(at_head_size(x)), maps)
