"""The pairs furthest on the wrong side, by number; with pictures only if the user allows it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from distill.curves.page import HardPair
from distill.data.faceset import DamagedImage
from distill.data.pairs import Pairs
from distill.errors import UserError
from distill.features.face_list import FaceList
from distill.features.video import frame_files, read_crop, read_video
from distill.metrics.allpairs.exhaustive import Survey
from distill.metrics.allpairs.pairing import LabelledFeatures
from distill.metrics.operating import hardest
from distill.report.run_page import ExamplePair
from distill.runs.pages import png


def of_verification(pairs: Pairs, scores: NDArray[np.float64], count: int, show: bool) -> list[HardPair]:
    """``count`` pairs of each kind of a verification set, numbered from 0."""
    found = []
    numbers = np.delete(np.arange(len(pairs) + len(pairs.left_out)), np.array(pairs.left_out, np.int64))
    for row in np.concatenate(hardest(scores, pairs.same, count)).tolist():
        images = (png(pairs.images[2 * row]), png(pairs.images[2 * row + 1])) if show else None
        found.append(_hard(f"pair {numbers[row]}", float(scores[row]), bool(pairs.same[row]), images))
    return found


def of_survey(survey: Survey, features: LabelledFeatures, faces: FaceList | None) -> list[HardPair]:
    """Those that a survey of ``features`` kept, by their lines in the list, counted from 1; pictures with ``faces``."""
    found = []
    for pair in (*survey.genuine, *survey.impostors):
        left, right = features.number(int(pair["left"])), features.number(int(pair["right"]))
        images = None if faces is None else (_look(faces, left), _look(faces, right))
        found.append(
            _hard(f"lines {left + 1:,} and {right + 1:,}", float(pair["score"]), bool(pair["genuine"]), images)
        )
    return found


def _hard(where: str, cosine: float, same: bool, images: tuple[bytes, bytes] | None) -> HardPair:
    return HardPair(where, cosine, same, ExamplePair(*images, cosine, same) if images else None)


def _look(faces: FaceList, row: int) -> bytes:
    """The image of a row, the frame in the middle of a folder, or the first of a video file, as PNG."""
    path = faces.path(row)
    try:
        if faces.kind == "image":
            crop = read_crop(path)
        elif path.is_dir():
            frames = frame_files(path)
            crop = read_crop(frames[len(frames) // 2])
        else:
            crop = next(read_video(path))
    except DamagedImage as damage:
        raise UserError(f"{faces.place(row)}: {damage}") from damage
    return png(torch.from_numpy(crop).permute(2, 0, 1))
