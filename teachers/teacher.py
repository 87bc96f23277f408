"""A teacher: a frozen network with its preprocessing, its card and, where it has one, its classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from distill.errors import UserError
from distill.files.foreign import refuse_foreign
from distill.files.network_file import NetworkFile
from distill.types import FaceNetwork, Output, Preprocessing
from teachers.card import Card, card_beside, check_hash, read_card, shipped_card
from teachers.draft import Draft
from teachers.onnx_network import OnnxNetwork
from teachers.weights import CLASSIFIER, load_into, read_weights

FINGERPRINT_KEY = "data_fingerprint"
"""Metadata key of a safetensors file: the data whose classes are the rows of its classifier."""


Precision = Literal["fp32", "bf16"]


class Teacher(nn.Module):
    """An ``Embedder`` that always stays in eval mode, without parameters and without a state dict.

    ``classifier`` are class centres [n d] or None. ``precision`` is that of the arithmetic; outputs are float32.
    ``file`` is where its weights come from, None for a network in memory.
    """

    def __init__(
        self,
        name: str,
        network: FaceNetwork,
        card: Card,
        preprocessing: Preprocessing,
        precision: Precision = "fp32",
        classifier: Tensor | None = None,
        file: NetworkFile | None = None,
    ) -> None:
        super().__init__()
        if precision not in ("fp32", "bf16"):
            raise UserError(f"teacher.precision is {precision!r}; expected 'fp32' or 'bf16'")
        self.name = name
        self.file = file
        self.card = card
        self.preprocessing = preprocessing
        self.precision: Precision = precision
        self.embedding_dim: int = network.embedding_dim
        self.map_channels: dict[str, int] = network.map_channels
        self.classifier: Tensor | None
        # not persistent: a student's checkpoint never holds a teacher's weights
        self.register_buffer("classifier", classifier, persistent=False)
        # convolutions in channels-last are faster on CPU and GPU
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._frozen = Frozen(network)

    @torch.no_grad()
    def output(self, images: Tensor, maps: bool = False) -> Output:
        """RGB uint8 crops [b 3 h w], on any device, to the float32 embedding and, if ``maps``, the named maps."""
        # an ONNX file has no parameters: it runs where the images are
        device = next((p.device for p in self._frozen.network.parameters()), images.device)
        images = images.to(device)
        x = self.preprocessing(images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            if not maps:
                return Output(self._frozen(x).float())
            found = self._frozen.forward_maps(x)
        return Output(found.embedding.float(), {name: m.float() for name, m in found.maps.items()})

    def embed(self, images: Tensor) -> Tensor:
        """RGB uint8 crops [b 3 h w] to float32 embeddings [b d], not normalised."""
        return self.output(images).embedding


def load_teacher(
    name: str,
    network: FaceNetwork | Draft | None,
    weights: NetworkFile | Path | None,
    card: Path | None = None,
    preprocessing: Preprocessing | None = None,
    precision: Precision = "fp32",
    data_fingerprint: str | None = None,
) -> Teacher:
    """Load, hash and check a teacher; ``network`` None stands for an ONNX file, a draft for a public layout.

    The card is the one named, else the one beside the weights, else the layout's, else the one shipped under ``name``.
    Preprocessing comes from ``preprocessing``, else a card that was named, else an ONNX file's metadata, else the
    card. The file's classifier is used only if ``data_fingerprint`` shows that its classes are those of the given data.
    """
    file = _existing(name, network, None if weights is None else NetworkFile.of(weights))
    weights = file.path
    own = _own_card(file, card)
    known = own or (network.card(name) if isinstance(network, Draft) else _shipped(name, weights))
    classifier = None
    if isinstance(network, Draft):
        network = network.filled(read_weights(weights))
    elif network is None:
        named = own.preprocessing if own is not None and card is not None else None
        network = OnnxNetwork(file, preprocessing or named)
        if network.preprocessing_source == "metadata" or (own is None and network.takes_pixels):
            preprocessing = network.preprocessing
    else:
        content = read_weights(weights)
        classifier = _usable(content.tensors.pop(CLASSIFIER, None), content.metadata, data_fingerprint)
        load_into(network, content)
    teacher = Teacher(name, network, known, preprocessing or known.preprocessing, precision, classifier, file)
    if known.embedding_dim not in (None, teacher.embedding_dim):
        raise UserError(
            f"{weights} gives embeddings of width {teacher.embedding_dim}; its card says {known.embedding_dim}"
        )
    return teacher


def _existing(name: str, network: FaceNetwork | Draft | None, file: NetworkFile | None) -> NetworkFile:
    if file is not None and file.path.is_file():
        return file
    weights = None if file is None else file.path
    if weights is not None:
        refuse_foreign(weights, "the file of a teacher")
    if network is None:
        where = f"its file {weights} does not exist" if weights else "it has no file"
        raise UserError(f"teacher {name} is an ONNX file of yours and {where}: name one with teacher.weights=FILE.onnx")
    raise UserError(
        f"teacher {name} has no weights at {weights}: train it with `make teacher teacher={name} data=recordio "
        "data.root=DIR`, or name a file with teacher.weights=FILE"
    )


def _own_card(weights: NetworkFile, card: Path | None) -> Card | None:
    path = card or card_beside(weights.path)
    if path is None:
        return None
    found = read_card(path)
    check_hash(found, weights)
    return found


def _shipped(name: str, weights: Path) -> Card:
    if (card := shipped_card(name)) is None:
        raise UserError(
            f"teacher {name} has no card: put card.yaml beside {weights} or name one with teacher.card=FILE"
        )
    return card


def _usable(classifier: Tensor | None, metadata: Mapping[str, str], data_fingerprint: str | None) -> Tensor | None:
    same_data = data_fingerprint is not None and metadata.get(FINGERPRINT_KEY) == data_fingerprint
    return classifier if same_data else None


class Frozen(nn.Module):
    """Hides a network from ``parameters()``, ``state_dict()`` and ``train()``; ``to()`` still reaches it."""

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self._kept = [network.eval().requires_grad_(False)]  # a list is invisible to nn.Module

    @property
    def network(self) -> FaceNetwork:
        return self._kept[0]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """The private hook behind ``to()``, ``cuda()`` and ``float()``; pinned by tests."""
        self.network._apply(fn, recurse)
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    @torch.no_grad()
    def forward_maps(self, x: Tensor) -> Output:
        """For networks that have maps; the same network, equally frozen."""
        return self.network.forward_maps(x)
