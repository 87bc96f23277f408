"""Pictures of computed faces on disk, and what a tiny network makes of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from reference.tiny_onnx import TinyOnnx

TINY = TinyOnnx(width=6)


def face(seed: int) -> np.ndarray:
    """A picture [112 112 3] with a left and a right side."""
    patches = np.random.default_rng(seed).integers(0, 256, (7, 7, 3))
    return np.kron(patches, np.ones((16, 16, 1), int)).astype(np.uint8)


def write_jpeg(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Write an image; the pixels as whoever decodes it sees them."""
    encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 90, "RGB", "444")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded)
    return simplejpeg.decode_jpeg(encoded, "RGB")


def write_video(path: Path, frames: list[np.ndarray]) -> Path:
    """Motion JPEG, which OpenCV writes and decodes everywhere."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def embed(crop: np.ndarray) -> np.ndarray:
    """What the tiny network says of one crop, in float64."""
    return TINY.reference(((crop.astype(np.float64) - 127.5) / 128).transpose(2, 0, 1)[None])[0]
