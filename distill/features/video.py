"""The frames of a video, which is a folder of JPEGs or a file that OpenCV decodes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from distill.data.decode import decode
from distill.data.faceset import DamagedImage
from distill.features.face_list import FaceList, is_frame
from distill.files.foreign import kind_of
from distill.files.kinds import VIDEO
from distill.files.utf8_path import utf8_path
from distill.types import CROP_PX

_log = logging.getLogger(__name__)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # silences FFmpeg; errors are reported here, once
# FFmpeg probes contents: a text named a.mp4 may be a playlist that opens other files and addresses.
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "format_whitelist;avi,mov,matroska"


def frame_files(folder: Path) -> list[Path]:
    """The frames of a folder sorted by name, so that their sum is rounded the same way every time."""
    return sorted(folder / name for name in os.listdir(folder) if is_frame(name))


def files_of(faces: FaceList, row: int) -> list[Path]:
    """The files of a row of a list."""
    path = faces.path(row)
    return frame_files(path) if path.is_dir() else [path]


def read_crop(path: Path) -> np.ndarray:
    """The aligned crop in an image file, RGB uint8 [112 112 3]; raises ``DamagedImage``."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise DamagedImage(f"cannot be read ({error.strerror})") from error


def read_video(path: Path) -> Iterator[np.ndarray]:
    """The frames of a video file, one after the other: aligned crops, RGB uint8 [112 112 3]; raises ``DamagedImage``.

    A file with fewer frames than it announces gets a warning only: for some containers that
    number is an estimate.
    """
    capture = _open(path)
    try:
        if not capture.isOpened():
            if (kind := kind_of(path)) not in (None, VIDEO):
                raise DamagedImage(f"is {kind.words}; expected a video file")
            raise DamagedImage("cannot be decoded by OpenCV; expected a complete video file")
        announced, met = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        while (frame := _next_frame(capture)) is not None:
            met += 1
            yield frame
    finally:
        capture.release()
    if met == 0:
        raise DamagedImage("is an empty video; expected at least one frame that OpenCV decodes")
    if met < announced:
        _log.warning("%s: has %d frames that can be decoded and announces %d: is it complete?", path, met, announced)


def _open(path: Path) -> cv2.VideoCapture:
    """FFmpeg by name: other backends take some names for cameras and patterns of numbers. Errors are reported once."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        with utf8_path(path) as text:
            return cv2.VideoCapture(text, cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)


def _next_frame(capture: cv2.VideoCapture) -> np.ndarray | None:
    there, frame = capture.read()
    if not there:
        return None
    height, width = frame.shape[:2]
    if (height, width) != (CROP_PX, CROP_PX):
        raise DamagedImage(f"is {width}x{height}; expected aligned {CROP_PX}x{CROP_PX} crops")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
