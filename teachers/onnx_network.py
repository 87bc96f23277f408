"""Any ONNX embedding file as a black box: fixed or dynamic batch, any output width, run by onnxruntime on the CPU.

A file of fixed batch 1 is run image by image. Rewriting its batch dimension was tried and left out: on a
MobileFaceNet it gained nothing over single images (176-188 against 120-199 images/s on one thread), and a graph
whose reshape names the batch gives wrong shapes. What does pay is several single-threaded runs side by side.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Literal, cast

import numpy as np
import onnxruntime as ort
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # pyright: ignore[reportAttributeAccessIssue]
from torch import Tensor

from distill.network_file import network_sha256
from distill.types import CROP_PX, FaceNetwork, Output, Preprocessing, UserError
from teachers.card import card_beside, check_hash, parse_preprocessing, read_card

METADATA_KEY = "preprocessing"
"""Key of ``metadata_props`` under which our exporter writes the preprocessing as JSON."""

CONCENTRATION = "concentration"
"""Key of ``metadata_props`` for a file that says how far it can be trusted (``distill/students/quality.py``)."""

Source = Literal["given", "metadata", "card", "default"]

FREE_BATCH = 8  # images a run where the file leaves the batch open: beyond that, caches lose more than calls gain
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_REFUSALS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotFound,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
log = logging.getLogger(__name__)


def preprocessing_to_json(preprocessing: Preprocessing) -> str:
    """The text for ``METADATA_KEY``: ``{"order": "rgb", "mean": [...], "std": [...]}``."""
    return json.dumps(asdict(preprocessing))


def preprocessing_from_json(text: str, where: str) -> Preprocessing:
    """Read what ``preprocessing_to_json`` wrote; anything else is a UserError that starts with ``where``."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is {text[:40]!r}; expected JSON with order, mean and std") from error
    return parse_preprocessing(raw, where)


def find_preprocessing(path: Path, metadata: dict[str, str]) -> tuple[Preprocessing, Source]:
    """From the file's metadata, else from a card beside it, else RGB (x - 127.5) / 128.

    A folder's ``card.yaml`` counts only if its hash or its name is that of the file.
    """
    if METADATA_KEY in metadata:
        return preprocessing_from_json(metadata[METADATA_KEY], f"{path}: metadata {METADATA_KEY!r}"), "metadata"
    beside = card_beside(path)
    if beside is None:
        return Preprocessing(), "default"
    card = read_card(beside)
    own = beside.name != "card.yaml" or card.name in (path.name, path.stem)
    if own:
        check_hash(card, path)
    return (card.preprocessing, "card") if own or card.sha256 == network_sha256(path) else (Preprocessing(), "default")


class OnnxNetwork(FaceNetwork):
    """An ``Embedder`` without maps and without anything to train.

    ``preprocessing_source`` says where the preprocessing comes from, ``output_name`` which output is read and
    ``batch`` the fixed batch size or None. ``threads`` defaults to PyTorch's number. ``width`` is that of the output
    that is wanted; by default any above 1, for what is 1 wide is no embedding. ``says_concentration`` is whether the
    length of what comes out is a concentration kappa: in parts of d for what is 1 wide.
    """

    def __init__(
        self,
        path: Path | str,
        preprocessing: Preprocessing | None = None,
        threads: int | None = None,
        width: int | None = None,
    ):
        super().__init__()
        self.path = Path(path)
        self.threads = threads or torch.get_num_threads()
        self._width = width
        self._session = _open(self.path)
        self._read_input()
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.says_concentration = CONCENTRATION in metadata
        self.preprocessing_source: Source = "given"
        if preprocessing is None:
            preprocessing, self.preprocessing_source = find_preprocessing(self.path, metadata)
        self.preprocessing = preprocessing
        self.output_name, self.embedding_dim = self._choose_output()
        self.map_channels = {}

    def embed(self, images: Tensor) -> Tensor:
        """RGB uint8 crops [b 3 112 112] to float32 embeddings [b d] on the same device."""
        return self(self.preprocessing(images))

    def forward_maps(self, x: Tensor) -> Output:
        """The embedding alone: a black box shows no maps."""
        return Output(self(x))

    def forward(self, x: Tensor) -> Tensor:
        """Preprocessed crops [b 3 112 112] to float32 embeddings [b d]."""
        pieces = x.detach().cpu().float().split(self.batch or FREE_BATCH)
        with ThreadPoolExecutor(self.threads) as pool:
            found = list(pool.map(self._run, pieces))
        return torch.cat(found or [torch.empty(0, self.embedding_dim)]).to(x.device)

    def _run(self, piece: Tensor) -> Tensor:
        (found,) = self._outputs([self.output_name], self._as_input(piece))
        return torch.from_numpy(found.astype(np.float32)).reshape(-1, self.embedding_dim)[: len(piece)]

    def _outputs(self, names: list[str], crops: np.ndarray) -> list[np.ndarray]:
        try:
            return cast(list[np.ndarray], self._session.run(names, {self._input: crops}))
        except _REFUSALS as error:
            raise UserError(f"{self.path} fails on crops {list(crops.shape)}: {_first_line(error)}") from error

    def _as_input(self, piece: Tensor) -> np.ndarray:
        """Pad a short piece up to the fixed batch, in the file's layout and dtype."""
        missing = max(0, (self.batch or 0) - len(piece))
        padded = torch.cat([piece, piece.new_zeros(missing, *piece.shape[1:])])
        array = padded.numpy().transpose(0, 2, 3, 1) if self._channels_last else padded.numpy()
        return np.ascontiguousarray(array, self._dtype)

    def _read_input(self) -> None:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise UserError(f"{self.path} has {len(inputs)} inputs ({', '.join(i.name for i in inputs)}); expected 1")
        (one,) = inputs
        shape = [size if isinstance(size, int) else None for size in one.shape]
        if one.type not in DTYPES or len(shape) != 4:
            raise UserError(f"{self.path} takes {one.type} {one.shape}; expected float crops [b 3 {CROP_PX} {CROP_PX}]")
        self._channels_last = shape[3] == 3 and shape[1] != 3
        batch, *image = shape if not self._channels_last else (shape[0], shape[3], shape[1], shape[2])
        if any(size not in (None, good) for size, good in zip(image, (3, CROP_PX, CROP_PX), strict=True)):
            raise UserError(f"{self.path} takes input {one.shape}; expected [b 3 {CROP_PX} {CROP_PX}]")
        self.batch = batch
        self._input, self._dtype = one.name, DTYPES[one.type]

    def _choose_output(self) -> tuple[str, int]:
        """The first output of the form [b d] or [b d 1 1], found by running one empty crop."""
        names = [o.name for o in self._session.get_outputs()]
        crops = self._as_input(torch.zeros(self.batch or 1, 3, CROP_PX, CROP_PX))
        found = dict(zip(names, self._outputs(names, crops), strict=True))
        fits = [n for n in names if self._fits(found[n].shape, len(crops))]
        if not fits:
            shapes = ", ".join(f"{n} {list(v.shape)}" for n, v in found.items())
            wanted = "embedding output [b d]" if self._width is None else f"output [b {self._width}]"
            raise UserError(f"{self.path} has no {wanted}; it gives {shapes}")
        if len(names) > 1:
            log.warning("%s has %d outputs; the embedding is read from %r", self.path, len(names), fits[0])
        return fits[0], found[fits[0]].shape[1]

    def _fits(self, shape: tuple[int, ...], batch: int) -> bool:
        if len(shape) not in (2, 4) or shape[0] != batch or shape[2:] not in ((), (1, 1)):
            return False
        return shape[1] > 1 if self._width is None else shape[1] == self._width


def _open(path: Path) -> ort.InferenceSession:
    if not path.is_file():
        raise UserError(f"ONNX file {path} does not exist")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # runs go side by side instead
    options.log_severity_level = 4  # what goes wrong is raised; onnxruntime would print it as well
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except ort_errors.InvalidProtobuf as error:
        raise UserError(f"{path} is not an ONNX file, or is cut short") from error
    except _REFUSALS as error:
        raise UserError(f"{path} cannot be run by onnxruntime: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
