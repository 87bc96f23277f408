"""``make check model=FILE.onnx``: judge any ONNX file by the limits of a protocol."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from onnx import TensorProto

from distill.jobs.run_folder import write_json
from distill.jobs.schema import ProtocolConf
from distill.jobs.side_schema import CheckConf
from distill.protocol.graph import read_model, true_inputs
from distill.protocol.limits import Protocol
from distill.protocol.verdict import Verdict, judge
from distill.tracking.summary import print_check
from distill.types import Preprocessing, UserError
from teachers.onnx_network import OnnxNetwork, Source, find_preprocessing

FILE = "check.json"
_log = logging.getLogger(__name__)


def run(conf: CheckConf) -> int:
    """Print the table, write ``check.json``; 0 for pass, 1 for fail."""
    model = Path(conf.model)
    verdict = judge(model, limits(conf.protocol))
    expects = _expects(model)
    print_check(verdict.rows(), verdict.passed, verdict.reasons)
    print(f"preprocessing: {expects}")
    _try(model)
    _write(verdict, expects, Path(conf.out) if conf.out else model.parent)
    return 0 if verdict.passed else 1


def check(model: Path, protocol: ProtocolConf, out: Path) -> Verdict:
    """Judge ``model`` and write ``check.json`` into the folder ``out``."""
    verdict = judge(model, limits(protocol))
    _write(verdict, _expects(model), out)
    return verdict


def limits(conf: ProtocolConf) -> Protocol:
    """What a file is judged by, out of all that a protocol says."""
    return Protocol(**{field.name: getattr(conf, field.name) for field in dataclasses.fields(Protocol)})


def describe(preprocessing: Preprocessing, source: Source) -> str:
    """What a file expects of an image, and who says so, in words."""
    mean, std = _short(preprocessing.mean), _short(preprocessing.std)
    return f"{source}: {preprocessing.order.upper()}, mean {mean}, std {std}"


def _expects(model: Path) -> str:
    graph = read_model(model)
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    takes_pixels = any(value.type.tensor_type.elem_type == TensorProto.UINT8 for value in true_inputs(graph.graph))
    return describe(*find_preprocessing(model, metadata, takes_pixels))


def _try(model: Path) -> None:
    """Say where the file runs otherwise than it declares, or not at all; the limits are judged by its graph alone."""
    try:
        OnnxNetwork(model)
    except UserError as trouble:
        _log.warning("%s", trouble)


def _write(verdict: Verdict, expects: str, out: Path) -> None:
    write_json(out / FILE, {**verdict.to_json(), "preprocessing": expects})


def _short(values: tuple[float, float, float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{v:g}" for v in values)
