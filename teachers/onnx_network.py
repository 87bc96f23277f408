"""Any ONNX embedding file as a black box: run by onnxruntime on the CPU, as ``onnx_probe`` finds out.

A file that takes one image is run image by image. Rewriting its batch dimension was tried and left out: on a
MobileFaceNet it gained nothing over single images (176-188 against 120-199 images/s on one thread), and a graph
whose reshape names the batch gives wrong shapes. What does pay is several single-threaded runs side by side.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from distill.errors import UserError
from distill.files.network_file import NetworkFile
from distill.types import FaceNetwork, Output, Preprocessing
from teachers.card import card_beside, check_hash, parse_preprocessing, read_card
from teachers.onnx_probe import FREE_BATCH, find_way
from teachers.onnx_session import SessionFailed, open_session

METADATA_KEY = "preprocessing"
"""Key of ``metadata_props`` under which our exporter writes the preprocessing as JSON."""


CONCENTRATION = "concentration"
"""Key of ``metadata_props`` for a file with a confidence output (``distill/students/quality.py``)."""


Source = Literal["given", "metadata", "card", "default"]


PIXELS = Preprocessing("rgb", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Default for a file that takes uint8: its graph normalises by itself."""


UINT8 = "tensor(uint8)"
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


def find_preprocessing(
    file: NetworkFile, metadata: dict[str, str], takes_pixels: bool = False
) -> tuple[Preprocessing, Source]:
    """From the file's metadata, else from a card beside it, else RGB (x - 127.5) / 128, as it is for uint8 inputs.

    A folder's ``card.yaml`` counts only if its hash or its name is that of the file.
    """
    path = file.path
    if METADATA_KEY in metadata:
        return preprocessing_from_json(metadata[METADATA_KEY], f"{path}: metadata {METADATA_KEY!r}"), "metadata"
    default = PIXELS if takes_pixels else Preprocessing()
    beside = card_beside(path)
    if beside is None:
        return default, "default"
    card = read_card(beside)
    own = beside.name != "card.yaml" or card.name in (path.name, path.stem)
    if own:
        check_hash(card, file)
    return (card.preprocessing, "card") if own or card.sha256 == file.sha256 else (default, "default")


class OnnxNetwork(FaceNetwork):
    """An ``Embedder`` without maps and without anything to train.

    ``preprocessing_source`` is the source of the preprocessing, ``output_name`` the output that is read and
    ``batch`` the number of images per run, None for any number. ``threads`` defaults to PyTorch's number.
    ``width`` is that of the wanted output; by default any above 1, because an output of width 1 is no embedding.
    ``says_concentration``: the length of the output is a concentration kappa; in parts of d for an output of width 1.
    """

    def __init__(
        self,
        source: NetworkFile | Path | str,
        preprocessing: Preprocessing | None = None,
        threads: int | None = None,
        width: int | None = None,
    ):
        super().__init__()
        self.file = NetworkFile.of(source)
        self.threads = threads or torch.get_num_threads()
        session = open_session(self.path)
        self.takes_pixels = session.type == UINT8
        self.says_concentration = CONCENTRATION in session.metadata
        self.preprocessing_source: Source = "given"
        if preprocessing is None:
            preprocessing, self.preprocessing_source = find_preprocessing(
                self.file, session.metadata, self.takes_pixels
            )
        self.preprocessing = preprocessing
        if self.takes_pixels:
            _require_pixels(self.path, preprocessing)
        self._way = find_way(self.path, session, preprocessing, width)
        if self._way.notes:
            log.warning("%s: found by trying: %s", self.path, "; ".join(self._way.notes))
        self.batch, self.output_name, self.embedding_dim = self._way.batch, self._way.output, self._way.width
        self.map_channels = {}

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def expects(self) -> str:
        """The preprocessing and its source in words, as tables, pages and JSON files show them."""
        return describe(self.preprocessing, self.preprocessing_source)

    def embed(self, images: Tensor) -> Tensor:
        """RGB uint8 crops [b 3 112 112] to float32 embeddings [b d] on the same device."""
        return self(self.preprocessing(images))

    def forward_maps(self, x: Tensor) -> Output:
        """The embedding; an ONNX file has no maps."""
        return Output(self(x))

    def forward(self, x: Tensor) -> Tensor:
        """Preprocessed crops [b 3 112 112] to float32 embeddings [b d]."""
        crops = x.detach().cpu().float()
        full = len(crops) // FREE_BATCH * FREE_BATCH if self.batch is None else len(crops)
        # the rest one by one: only batches of FREE_BATCH and single images were compared by the probe
        pieces = [*crops[:full].split(self.batch or FREE_BATCH), *crops[full:].split(1)]
        # sessions have one thread each and release the GIL: pieces run side by side
        with ThreadPoolExecutor(self.threads) as pool:
            found = list(pool.map(self._run, [piece for piece in pieces if len(piece)]))
        return torch.cat(found or [torch.empty(0, self.embedding_dim)]).to(x.device)

    def _run(self, piece: Tensor) -> Tensor:
        """A piece of at most the fixed batch, padded up to it."""
        missing = max(0, (self.batch or 0) - len(piece))
        try:
            # zeros are cut off below
            found = self._way.run(torch.cat([piece, piece.new_zeros(missing, *piece.shape[1:])]))
        except SessionFailed as failure:
            raise UserError(f"{self.path} fails on crops {list(piece.shape)}: {failure}") from failure
        return found[: len(piece)]


def _require_pixels(path: Path, preprocessing: Preprocessing) -> None:
    """A uint8 input needs the pixels unchanged: mean 0, std 1."""
    if (preprocessing.mean, preprocessing.std) != (PIXELS.mean, PIXELS.std):
        raise UserError(
            f"{path} takes uint8 pixels, and its preprocessing is mean {preprocessing.mean}, std {preprocessing.std}; "
            "expected mean 0 and std 1 in its metadata, its card or teacher.preprocessing"
        )


def describe(preprocessing: Preprocessing, source: Source) -> str:
    """A file's preprocessing and its source, as text."""
    mean, std = _short(preprocessing.mean), _short(preprocessing.std)
    return f"{source}: {preprocessing.order.upper()}, mean {mean}, std {std}"


def _short(values: tuple[float, float, float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{v:g}" for v in values)
