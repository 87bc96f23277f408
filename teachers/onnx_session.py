"""An ONNX file in onnxruntime: opened, run, and refused with one line of plain text.

A file is opened as it declares its input, or with every dimension of it left open, where the declaration is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError, EncodeError
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # pyright: ignore[reportAttributeAccessIssue]

from distill.errors import UserError
from distill.files.foreign import foreign
from distill.files.kinds import ONNX
from distill.files.utf8_path import utf8_path

EXPECTED = "an ONNX file"
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
_MOST_CHARACTERS = 240
_OWN_ERRORS = tuple(e for e in vars(ort_errors).values() if isinstance(e, type) and issubclass(e, Exception))
_REFUSALS = (*_OWN_ERRORS, RuntimeError, ValueError)
_NOISE = (  # onnxruntime's number and name of the error, its line of code, and its advice to programmers
    r"\[ONNXRuntimeError\] : \d+ : \w+ : ",
    r"Load model from .*? failed:",
    r"\S*/onnxruntime/\S*\.(cc|cpp|h|hpp):\d+ [^()]*\([^()]*(\([^()]*\)[^()]*)*\)( const)?",
    r"Please fix either the inputs/outputs or the model\.",
    r"Non-zero status code returned while running ",
    r"ONNX Runtime only \*guarantees\* support .*? onnx opset versions\.",
    r"The operator schemas and or other .*? backward compatibility\.",
)

ort.set_default_logger_severity(4)  # errors are raised; onnxruntime would print them as well


class SessionFailed(Exception):
    """A run that onnxruntime refused; the message is its reason."""


Shape = list[int | str | None]


class Session:
    """An opened file. ``shape`` is what its input declares, ``[]`` for nothing, ``declared`` its fixed sizes.

    ``strict`` is whether onnxruntime enforces it.
    """

    def __init__(self, session: ort.InferenceSession, shape: Shape | None = None) -> None:
        self._session = session
        self.strict = shape is None
        self.inputs: list[str] = [one.name for one in session.get_inputs()]
        self.outputs: list[str] = [one.name for one in session.get_outputs()]
        self.type: str = session.get_inputs()[0].type if self.inputs else "nothing"
        first: Shape = session.get_inputs()[0].shape if self.inputs else []
        self.shape = first if shape is None else shape
        self.metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map

    @property
    def declared(self) -> list[int | None]:
        return [size if isinstance(size, int) and size > 0 else None for size in self.shape]

    def run(self, names: Sequence[str], crops: np.ndarray) -> list[np.ndarray]:
        """The named outputs; raises ``SessionFailed``."""
        try:
            return cast(list[np.ndarray], self._session.run(list(names), {self.inputs[0]: crops}))
        except _REFUSALS as error:
            raise SessionFailed(_reason(error)) from error


def open_session(path: Path) -> Session:
    """The file with its declared shapes; UserError if it is no ONNX file, or onnxruntime refuses it."""
    if not path.is_file() and not path.is_dir():
        raise UserError(f"ONNX file {path} does not exist")
    if problem := foreign(path, EXPECTED, ONNX):
        raise UserError(problem)
    try:
        with utf8_path(path) as text:
            return Session(ort.InferenceSession(text, _options(), providers=["CPUExecutionProvider"]))
    except ort_errors.InvalidProtobuf as error:
        raise UserError(f"{path} is not an ONNX file, or is cut short") from error
    except _REFUSALS as error:
        if opened := open_undeclared(path):  # its shapes contradict each other, its graph may be right
            return opened
        raise UserError(f"{path} cannot be run by onnxruntime: {_reason(error)}") from error


def open_undeclared(path: Path) -> Session | None:
    """The same without what the file says of its shapes; None where it cannot be opened so.

    It parses the file for itself, with its weights, which ``NetworkFile`` drops.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        # old exporters list weights among the inputs
        stored = {tensor.name for tensor in model.graph.initializer}
        shapes: list[Shape] = []
        for value in (value for value in model.graph.input if value.name not in stored):
            dimensions = value.type.tensor_type.shape.dim
            shapes.append([d.dim_value or d.dim_param or None for d in dimensions])
            for dimension in dimensions:
                dimension.Clear()
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        # shapes of intermediate results, which would contradict open inputs
        del model.graph.value_info[:]
        options = _options()
        options.add_session_config_entry(_EXTERNAL_FOLDER, str(path.resolve().parent))
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return Session(session, shapes[0] if shapes else [])
    except (*_REFUSALS, DecodeError, EncodeError):
        return None


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # batches run in parallel threads instead
    options.log_severity_level = 4
    return options


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    for noise in _NOISE:
        text = re.sub(noise, "", text)
    text = " ".join(text.split())
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
