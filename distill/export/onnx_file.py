"""One self-contained ONNX file from a trained network.

The order: export, simplify, flush denormals, strip what the exporter notes about Python, add metadata, check, rename
into place. Whether the file is right is ``parity``'s business, on real images.

torch's dynamo exporter folds batch norms into the convolution or linear layer before them; a norm with no such layer
before it (the leading one of an IR block) stays. It takes about ten seconds for a VarGNet where the legacy exporter,
which is on its way out of PyTorch, takes one: once in a run, that does not matter.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import onnx
import onnxsim
import torch
from onnx import ModelProto, TensorProto
from torch import nn

from distill.errors import UserError
from distill.export.onnx_graph import flush_denormals, foldable_norms, strip
from distill.export.parity import parity, random_images
from distill.files.atomic import write_atomic
from distill.shown import shown_all
from distill.types import CROP_PX, Preprocessing
from teachers.onnx_network import METADATA_KEY, preprocessing_to_json

INPUT, OUTPUT = "images", "embedding"
TOOLS = ("torch", "onnx", "onnxscript", "onnxsim")
MOST_BYTES = 2**31 - 1
"""What one ONNX file can hold: protobuf's limit. A network with more weights needs files beside it."""
OPSETS = range(18, 25)
"""What the exporter of torch 2.13 can write: below, it stays silently at 18; above, it fails."""


@dataclass(frozen=True)
class Exported:
    """What came of an export."""

    path: Path
    bytes: int
    opset: int
    nodes: int
    simplified: bool
    flushed_denormals: int


def export_onnx(network: nn.Module, path: Path, metadata: Mapping[str, str], opset: int) -> Exported:
    """Write ``network`` (normalised [b 3 112 112] to [b d]) to ``path``; the network is not changed.

    Raises UserError when the exporter does not write ``opset``, the network is too large for one file, or the file
    cannot be written; an earlier file at ``path`` then stays as it was.
    """
    if opset not in OPSETS:
        raise UserError(f"export.opset is {opset}; expected {OPSETS[0]} to {OPSETS[-1]}, which this exporter can write")
    if (size := sum(4 * tensor.numel() for tensor in network.state_dict().values())) > MOST_BYTES:
        raise UserError(f"the network has {size:,} bytes of weights; an ONNX file holds at most {MOST_BYTES:,}")
    plain = _export(_twin(network), opset)
    model, simplified = _simplify(plain, network)
    flushed = flush_denormals(model)
    strip(model)
    onnx.helper.set_model_props(model, shown_all(metadata))
    model.producer_name, model.producer_version = "distill", version("torch")
    _check(model, opset)
    data = model.SerializeToString(deterministic=True)
    write_atomic(path, data)
    return Exported(path, len(data), opset, len(model.graph.node), simplified, flushed)


def describe(
    network: nn.Module, embedding_dim: int, preprocessing: Preprocessing, run: str, project: str
) -> dict[str, str]:
    """The metadata of a file: what it expects, and what it was made from. ``project`` is our name and version."""
    return {
        "producer": project,
        METADATA_KEY: preprocessing_to_json(preprocessing),
        "embedding_dim": str(embedding_dim),
        "run": run,
        "weights_sha256": state_sha256(network),
        "versions": json.dumps({"project": project} | {tool: version(tool) for tool in TOOLS}),
    }


def state_sha256(network: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of a state dict, whatever its order, device or memory format."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _twin(network: nn.Module) -> nn.Module:
    """A float32 copy on the CPU, in eval mode and contiguous memory."""
    # With channels_last weights, as training leaves them, torch.export fixes the batch: "Invalid ranges [2:1]".
    twin = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    return twin.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]


def _export(network: nn.Module, opset: int) -> ModelProto:
    with _quiet():
        program = torch.onnx.export(
            network,
            (torch.zeros(1, 3, CROP_PX, CROP_PX),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=opset,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own deprecations and on packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _simplify(model: ModelProto, network: nn.Module) -> tuple[ModelProto, bool]:
    """The simplified model where it checks and computes the network as well as before, else the model itself.

    "As well" allows twice the difference plus float32 rounding: another order of the same sums is not worse.
    """
    simple, valid = onnxsim.simplify(model)
    if not valid or not _is_valid(simple):
        return model, False
    images = random_images(2)
    before, after = (parity(network, m.SerializeToString(), images, (1, 2)) for m in (model, simple))
    if after.max_relative <= 2 * before.max_relative + torch.finfo(torch.float32).eps:
        return simple, True
    return model, False


def _is_valid(model: ModelProto) -> bool:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False
    return True


def _check(model: ModelProto, opset: int) -> None:
    """What must hold of every file that leaves here."""
    written = {entry.domain: entry.version for entry in model.opset_import}
    if written != {"": opset}:
        raise UserError(f"export.opset is {opset}, but the exporter wrote {written}; use one that it can write: 18")
    onnx.checker.check_model(model, full_check=True)
    assert not foldable_norms(model), f"batch norms left to fold: {foldable_norms(model)}"
    assert not model.functions, "the file holds functions of its own"
    assert all(t.data_location != TensorProto.EXTERNAL for t in model.graph.initializer), "weights lie outside the file"
    assert [value.name for value in model.graph.input] == [INPUT]
    assert [value.name for value in model.graph.output] == [OUTPUT]
    for value in (model.graph.input[0], model.graph.output[0]):
        assert value.type.tensor_type.shape.dim[0].dim_param, f"the batch of {value.name!r} is fixed"
