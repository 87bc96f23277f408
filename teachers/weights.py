"""Weights on disk: checkpoints and safetensors in, safetensors out, and no code is run."""

from __future__ import annotations

import logging
import pickle
import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.foreign import foreign, kind_of
from distill.files.kinds import CENTRES, CHECKPOINT, CUT_CHECKPOINT, LIGHTNING, ONNX, PICKLE, SAFETENSORS
from distill.files.utf8_path import utf8_path
from distill.shown import shown_all
from teachers.layouts.known import recognise
from teachers.layouts.layout import OWN_NAMES, Names
from teachers.weight_names import Place, is_ambiguous, names_of, place_of

CLASSIFIER = "classifier.weight"
"""Key of the class centres [n d] in the file of a teacher that was trained here."""

NAMED_KEYS = 3
_EXPECTED = "a PyTorch checkpoint of plain tensors or a safetensors file"
_UNREADABLE = (RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError, OSError)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightFile:
    """Tensors by name, and the text that a safetensors file carries."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_weights(path: Path) -> WeightFile:
    """Read safetensors or a PyTorch checkpoint of plain tensors, whatever its suffix; names as in the file.

    Tensors in nested dicts have dotted names (``weight_names.names_of``).
    """
    kind = kind_of(path)
    if kind is None and not path.is_file():
        raise UserError(f"weights file {path} does not exist")
    if kind == ONNX or (kind is None and path.suffix == ".onnx"):
        raise UserError(f"{path} is an ONNX file, not weights for a network; use teacher=onnx teacher.weights={path}")
    if problem := foreign(path, _EXPECTED, SAFETENSORS, CENTRES, CHECKPOINT, CUT_CHECKPOINT, LIGHTNING, PICKLE):
        raise UserError(problem)
    by_name = kind is None and path.suffix == ".safetensors"
    return _read_safetensors(path) if by_name or kind in (SAFETENSORS, CENTRES) else _read_checkpoint(path)


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with utf8_path(path) as text, safe_open(text, framework="pt") as file:
            return WeightFile(path, {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a complete safetensors file; download or copy it again") from error


def _read_checkpoint(path: Path) -> WeightFile:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's warnings are for programmers
            with path.open("rb") as file:  # torch would go by the suffix of a path
                content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(_refusal(path, str(error))) from error
    except _UNREADABLE as error:
        problem = foreign(path, _EXPECTED, CHECKPOINT, CUT_CHECKPOINT, LIGHTNING)
        raise UserError(problem or f"{path} is not a PyTorch checkpoint, or is cut short; copy it again") from error
    return WeightFile(path, _tensors(content, path))


def _refusal(path: Path, reason: str) -> str:
    """Why torch's reader refused the file: an object of a named class, which could run any code, or broken data."""
    found = re.search(r"GLOBAL (\S+)", reason)
    pairs = found is None or found[1].startswith("numpy")  # as verification sets name
    if pairs and (problem := foreign(path, _EXPECTED, CHECKPOINT, CUT_CHECKPOINT, LIGHTNING)):
        return problem
    if found:
        return f"{path} was refused: loading it would run {found[1]}; save network.state_dict() and nothing else"
    return f"{path} is not a PyTorch checkpoint of plain tensors; expected a saved network.state_dict()"


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    found = names_of(content) if isinstance(content, Mapping) else {}
    if not found:
        raise UserError(
            f"{path} holds a {type(content).__name__} without named tensors; expected a state dict of them, such as "
            "network.state_dict()"
        )
    return found


def load_into(
    network: nn.Module, weights: WeightFile, names: Names = OWN_NAMES, fresh: Collection[str] = frozenset()
) -> None:
    """Fill a network, every key and every shape, from any place in the file; UserError names what does not fit.

    ``names`` are those of the weights in the file. Weights of the network in ``fresh`` are not looked for and stay as
    they are. Tensors beside the network, such as a classifier's or an optimiser's, are left out with a note. A missing
    ``num_batches_tracked`` is no fault: old PyTorch did not write it, and nothing here reads it.
    """
    state = network.state_dict()
    ours = {names.theirs(key): key for key in state if key not in names.absent and key not in fresh}
    expected = {theirs: state[key] for theirs, key in ours.items()}
    place = place_of(expected, weights.tensors)
    _check_names(weights, place, [n for n in place.surplus if not names.ignores(n)], expected, network)
    _check_copies(weights.path, place)
    _check_finite(WeightFile(weights.path, dict(place.tensors)))
    if place.others:
        log.info(
            "%s: %d tensors beside the network are not used (%s)", weights.path, len(place.others), _some(place.others)
        )
    # strict, with the network's own values where the file need not have any
    network.load_state_dict({**state, **{ours[theirs]: value for theirs, value in place.tensors.items()}})


def named_for(expected: Mapping[str, Tensor], weights: WeightFile) -> WeightFile:
    """The same weights by the names of a network with the state dict ``expected``, if they are found."""
    prefix = place_of(expected, weights.tensors).prefix
    tensors = {k.removeprefix(prefix): v for k, v in weights.tensors.items() if k.startswith(prefix)}
    return WeightFile(weights.path, tensors, weights.metadata)


def _check_copies(path: Path, place: Place) -> None:
    """A file may hold several networks with these names, such as a teacher and its student."""
    if not place.copies:
        return
    if is_ambiguous(place):
        found = [prefix or "(no prefix)" for prefix in (place.prefix, *place.copies)]
        raise UserError(
            f"{path} holds this network {len(found)} times with other values, below {_some(found)}; expected it once: "
            "save the one that is meant alone"
        )
    log.info("%s: the weights below %r are used, not those below %s", path, place.prefix, _some(place.copies))


def _check_names(
    weights: WeightFile, place: Place, surplus: list[str], expected: Mapping[str, Tensor], network: nn.Module
) -> None:
    """Every weight is there and has its shape, and there is no other; else one line with the counts and what it is."""
    wrong = [name for name, value in place.tensors.items() if value.shape != expected[name].shape]
    surplus = surplus + (place.others if place.missing else [])
    if not (place.missing or surplus or wrong):
        return
    faults = [f"{len(place.missing)} keys are missing ({_some(place.missing)})"]
    faults += [f"{len(surplus)} are surplus ({_some(surplus)})"]
    if wrong:
        if not (place.missing or surplus):
            _check_width(weights, place, wrong, expected, network)
        shapes = [f"{n} {list(place.tensors[n].shape)} for {list(expected[n].shape)}" for n in wrong]
        faults += [f"{len(wrong)} have another shape ({_some(shapes)})"]
    raise UserError(f"{weights.path} does not fit this network: {', '.join(faults)}{_looks(weights, place)}")


def _looks(weights: WeightFile, place: Place) -> str:
    """What the file is instead, in words, as far as its names tell."""
    if (found := recognise(weights.tensors)) is not None:
        return f"; it looks like {found.seen.words}: use {found.advice}"
    return "" if place.tensors else "; it is of another network: name that one with teacher= or student="


def _check_width(
    weights: WeightFile, place: Place, wrong: list[str], expected: Mapping[str, Tensor], network: nn.Module
) -> None:
    """Say so where only the last layers differ, all in the embedding's width, instead of listing tensors."""
    width = network.embedding_dim
    widths = {place.tensors[name].shape[:1] for name in wrong}
    if all(expected[k].shape[:1] == (width,) for k in wrong) and len(widths) == 1 and widths != {(width,)}:
        raise UserError(f"{weights.path} gives embeddings of width {widths.pop()[0]}; the network is built for {width}")


def _check_finite(weights: WeightFile) -> None:
    if bad := [k for k, v in weights.tensors.items() if v.is_floating_point() and not v.isfinite().all()]:
        raise UserError(f"{weights.path} has NaN or infinite values in {len(bad)} tensors: {_some(bad)}")


def save_weights(
    network: nn.Module, path: Path, metadata: Mapping[str, str] | None = None, classifier: Tensor | None = None
) -> None:
    """Write a network as safetensors, atomically; ``classifier`` [n d] are its learned class centres."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    if classifier is not None:
        assert CLASSIFIER not in tensors
        tensors[CLASSIFIER] = classifier.detach().float().cpu().contiguous()
    write_atomic(path, save(tensors, shown_all(metadata or {})))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_KEYS} more" if len(names) > NAMED_KEYS else ""
    return ", ".join(names[:NAMED_KEYS]) + more if names else "none"
