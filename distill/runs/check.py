"""The verdict of a run's ONNX file, as ``check.json``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from onnx import TensorProto

from distill.config.groups import ProtocolConf
from distill.files.atomic import write_json
from distill.files.network_file import NetworkFile
from distill.protocol.graph import true_inputs
from distill.protocol.limits import Protocol
from distill.protocol.verdict import Verdict, judge
from teachers.onnx_network import describe, find_preprocessing

FILE = "check.json"


def check(model: NetworkFile, protocol: ProtocolConf, out: Path) -> Verdict:
    """Judge ``model`` and write ``check.json`` into the folder ``out``."""
    verdict = judge(model, limits(protocol))
    write_check(verdict, expected_preprocessing(model), out)
    return verdict


def limits(conf: ProtocolConf) -> Protocol:
    """The part of a protocol that a file is checked against."""
    return Protocol(**{field.name: getattr(conf, field.name) for field in dataclasses.fields(Protocol)})


def expected_preprocessing(model: NetworkFile) -> str:
    """The preprocessing of a file and its source in words, also of a file that onnxruntime cannot run."""
    inputs = true_inputs(model.model.graph)
    takes_pixels = any(value.type.tensor_type.elem_type == TensorProto.UINT8 for value in inputs)
    return describe(*find_preprocessing(model, model.metadata, takes_pixels))


def write_check(verdict: Verdict, expects: str, out: Path) -> None:
    """Write ``check.json`` into the folder ``out``."""
    write_json(out / FILE, {**verdict.to_json(), "preprocessing": expects})
