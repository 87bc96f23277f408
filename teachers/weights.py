"""Weights on disk: what people have in, safetensors out, and nothing that runs code."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from distill.types import UserError

WRAPPERS = ("state_dict", "state_dict_backbone")  # keys under which trainers keep the network among other things
PREFIXES = ("module.", "backbone.", "_orig_mod.")  # left by DDP, by wrappers and by torch.compile
CLASSIFIER = "classifier.weight"
"""Key of the class centres [n d] that a teacher of our own carries beside its network."""

NAMED_KEYS = 3
_UNREADABLE = (RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError, OSError)


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and the text that a safetensors file carries."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_weights(path: Path) -> Weights:
    """Read .safetensors, or .pth/.pt/.ckpt with plain tensors, with wrappers and prefixes taken off."""
    if not path.is_file():
        raise UserError(f"weights file {path} does not exist")
    if path.suffix == ".onnx":
        raise UserError(f"{path} is an ONNX file, not weights for a network; use teacher=onnx teacher.weights={path}")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path)


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            return Weights(path, {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file: {_first_line(error)}") from error


def _read_checkpoint(path: Path) -> Weights:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(_refusal(path, str(error))) from error
    except _UNREADABLE as error:
        raise UserError(f"{path} is not a PyTorch checkpoint, or is cut short: {_first_line(error)}") from error
    return Weights(path, _strip_prefixes(_unwrap(content, path)))


def _refusal(path: Path, reason: str) -> str:
    """What torch's reader objected to: a named object, whose making could run anything, or just rubbish."""
    if found := re.search(r"GLOBAL (\S+)", reason):
        return f"{path} was refused: loading it would run {found[1]}; save network.state_dict() and nothing else"
    return f"{path} is not a PyTorch checkpoint of plain tensors; expected a saved network.state_dict()"


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path} holds a {type(content).__name__}; expected a state dict of named tensors")
    if odd := [str(k) for k, v in content.items() if not (isinstance(k, str) and isinstance(v, Tensor))]:
        raise UserError(f"{path} holds more than named tensors ({_some(odd)}); expected a state dict")
    return dict(content)


def _strip_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES * 2:  # twice, for "backbone.module." and the like
        if all(k.startswith(prefix) for k in tensors):
            tensors = {k.removeprefix(prefix): v for k, v in tensors.items()}
    return tensors


def load_into(network: nn.Module, weights: Weights) -> None:
    """Fill a network, every key and every shape; UserError names what does not fit.

    A missing ``num_batches_tracked`` is no fault: old PyTorch did not write it, and nothing here reads it.
    """
    expected = network.state_dict()
    missing = [k for k in expected if k not in weights.tensors and not k.endswith("num_batches_tracked")]
    surplus = [k for k in weights.tensors if k not in expected]
    if missing or surplus:
        raise UserError(
            f"{weights.path} does not fit this network: {len(missing)} keys are missing ({_some(missing)}), "
            f"{len(surplus)} are surplus ({_some(surplus)})"
        )
    _check_shapes(weights, {k: v for k, v in expected.items() if k in weights.tensors}, network)
    _check_finite(weights)
    network.load_state_dict({**expected, **weights.tensors})


def _check_shapes(weights: Weights, expected: Mapping[str, Tensor], network: nn.Module) -> None:
    found = weights.tensors
    wrong = [k for k, v in expected.items() if v.shape != found[k].shape]
    if not wrong:
        return
    width = network.embedding_dim
    widths = {found[k].shape[:1] for k in wrong}
    if all(expected[k].shape[:1] == (width,) for k in wrong) and len(widths) == 1 and widths != {(width,)}:
        raise UserError(f"{weights.path} gives embeddings of width {widths.pop()[0]}; the network is built for {width}")
    some = _some([f"{k} {list(found[k].shape)} for {list(expected[k].shape)}" for k in wrong])
    raise UserError(f"{weights.path} has {len(wrong)} tensors of another shape than the network: {some}")


def _check_finite(weights: Weights) -> None:
    if bad := [k for k, v in weights.tensors.items() if v.is_floating_point() and not v.isfinite().all()]:
        raise UserError(f"{weights.path} has NaN or infinite values in {len(bad)} tensors: {_some(bad)}")


def save_weights(
    network: nn.Module, path: Path, metadata: Mapping[str, str] | None = None, classifier: Tensor | None = None
) -> None:
    """Write a network as safetensors, whole or not at all; ``classifier`` [n d] are the class centres it learned."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    if classifier is not None:
        assert CLASSIFIER not in tensors
        tensors[CLASSIFIER] = classifier.detach().float().cpu().contiguous()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, dict(metadata or {}))
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write {path}: {_first_line(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_KEYS} more" if len(names) > NAMED_KEYS else ""
    return ", ".join(names[:NAMED_KEYS]) + more if names else "none"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
