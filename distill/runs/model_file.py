"""The ONNX file that ``model=`` means, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill.errors import UserError
from distill.runs.folder import STUDENT_ONNX
from distill.shown import shown


def model_file(model: str) -> Path:
    """``model`` itself, or the student of the run folder that it names; ``UserError`` where a folder holds none."""
    path = Path(model)
    if not path.is_dir():
        return path
    student = path / STUDENT_ONNX
    if not student.is_file():
        raise UserError(f"{path} holds no {STUDENT_ONNX}: expected an ONNX file, or the folder of a finished run")
    return student.resolve()  # runs/latest may point elsewhere before the job ends


def distinct_names(paths: Sequence[Path], key: str) -> list[str]:
    """The shortest end of each path that no other has, e.g. "a/student.onnx"; ``UserError`` if one is given twice."""
    absolute = [path.resolve() for path in paths]
    for path, place in zip(paths, absolute, strict=True):
        if absolute.count(place) > 1:
            raise UserError(f"{key} has {path} twice; expected different ones")

    def name(parts: tuple[str, ...]) -> str:
        ends = (parts[-length:] for length in range(1, len(parts) + 1))
        return "/".join(next(end for end in ends if sum(other.parts[-len(end) :] == end for other in absolute) == 1))

    return [shown(name(path.parts)) for path in absolute]


def model_name(path: Path) -> Path:
    """What a model is called by: the run folder of a student, else the file itself."""
    return path.parent if path.name == STUDENT_ONNX else path
