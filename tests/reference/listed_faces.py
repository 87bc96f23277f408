"""A set of faces in memory, and a teacher that is arithmetic."""

from __future__ import annotations

import numpy as np
import simplejpeg
import torch
from torch import Tensor

from distill.data.faceset import DamagedImage, bytes_digest
from distill.types import Output

IMAGES = 23


class Listed:
    """Pictures in memory; those in ``broken`` cannot be read."""

    def __init__(self, count: int = IMAGES, broken: tuple[int, ...] = (), labels: np.ndarray | None = None) -> None:
        self._images = [_picture(number) for number in range(count)]
        self._broken = broken
        self.labels = np.arange(count) % 5 if labels is None else labels
        self.classes = int(self.labels.max()) + 1
        self.reads = 0

    def __len__(self) -> int:
        return len(self._images)

    def read(self, index: int) -> bytes:
        self.reads += 1
        if index in self._broken:
            raise DamagedImage("cannot be read")
        return self._images[index]

    def name(self, index: int) -> str:
        return f"picture {index}"

    def fingerprint(self) -> str:
        return f"listed {len(self)}"

    def digest(self, index: int, encoded: bytes) -> int:
        return bytes_digest(encoded)


def _picture(number: int) -> bytes:
    patches = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    pixels = np.ascontiguousarray(np.kron(patches, np.ones((14, 14, 1), np.uint8)))
    return simplejpeg.encode_jpeg(pixels, 90, "RGB", "444")


class Arithmetic:
    """An embedding [b 6] of the mean colours of both halves, and a map of two channels."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def output(self, images: Tensor, maps: bool) -> Output:
        pixels = images.float() / 255 * self.factor
        halves = torch.cat([pixels[..., :56].mean((2, 3)), pixels[..., 56:].mean((2, 3))], 1)
        found = {"stage4": torch.nn.functional.adaptive_avg_pool2d(pixels[:, :2], 7)} if maps else {}
        return Output(halves, found)
