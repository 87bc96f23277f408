"""Feature files of a list of images or videos: open the list, choose the fusion, write the rows."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from distill.data.damage import Damage
from distill.data.decode import RULE
from distill.errors import UserError
from distill.features.face_list import FaceList, Kind, find_faces, read_lines
from distill.features.feature_file import verify_features
from distill.features.rows import FaceRows
from distill.features.rule import LENGTHS, WITH_NETWORK, RowRule
from distill.features.video import files_of
from distill.features.writer import FeatureWriter
from distill.files.contents import RowContents
from distill.progress import waiting
from distill.shown import shown
from teachers.onnx_network import OnnxNetwork

SOFTWARE = ("onnxruntime", "simplejpeg", "opencv-python-headless")
"""Packages whose other versions may round differently."""


def open_list(path: Path, root: Path, kind: Kind, links: bool) -> FaceList:
    """The list with every entry checked, so that a wrong one stops the job before its first embedding."""
    lines = read_lines(path, kind)
    with waiting(f"looking for what {path.name} lists", len(lines), f"{kind}s") as progress:
        return find_faces(lines, root, kind, progress, links)


def frame_quality(path: str | None, rule: RowRule) -> OnnxNetwork | None:
    """The network that weighs frames, where the rule wants one; ``UserError`` where it is missing, idle or none."""
    if rule.needs_network != (path is not None):
        raise UserError(
            f"frame_quality is {path or 'null'} and fusion {rule.fusion}; expected frame_quality=FILE.onnx with "
            f"fusion={' or '.join(WITH_NETWORK)}, and neither without the other"
        )
    return None if path is None else OnnxNetwork(path, width=1)


class Makers(NamedTuple):
    """The networks that compute the features."""

    network: OnnxNetwork
    quality: OnnxNetwork | None = None

    def say_concentrations(self, rule: RowRule) -> bool:
        """Whether the weights of frames are concentrations: those of students and networks that learned them here."""
        if self.quality is not None:
            return self.quality.says_concentration
        return rule.fusion == LENGTHS and self.network.says_concentration


def write_features(
    makers: Makers, faces: FaceList, rule: RowRule, batch_size: int, out: Path, fresh: bool, damage: Damage
) -> int:
    """Write the rows missing in ``out`` and verify all of them; returns the number of zero rows, of damaged faces."""
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; expected at least 1")
    network, quality = makers
    rows = FaceRows(faces, network, rule, batch_size, quality, makers.say_concentrations(rule), damage)
    images = RowContents(len(faces), lambda row: files_of(faces, row), faces.lines.path.name)
    made_of, shape = _made_of(rows, makers), (len(faces), network.embedding_dim)
    with FeatureWriter(out, shape, made_of, fresh, images.sha256) as writer:
        for row, what in writer.damaged:
            damage.recall((row, what), what)
        if writer.done:
            print(f"{shown(out)}: {writer.done:,} of {len(faces):,} rows are there already")
        if writer.done < len(faces):
            left = len(faces) - writer.done
            with waiting(f"embedding {faces.lines.path.name}", left, f"{rule.kind}s") as progress:
                rows.write(writer, progress)
        if len(writer.empty) == len(faces):
            raise UserError(f"{faces.lines.path}: none of its {rule.kind}s can be read: {writer.damaged[0][1]}")
        writer.finish()
    with waiting(f"verifying {out.name}", len(faces), "rows") as progress:
        verify_features(out, len(faces), progress, writer.empty)
    return len(writer.empty)


def _made_of(rows: FaceRows, makers: Makers) -> dict[str, Any]:
    """Everything that determines the bytes of a feature file, for the journal beside it."""
    network, quality = makers
    return {
        "list_sha256": rows.faces.lines.sha256,
        "decoding_rule": RULE,
        "root": str(rows.faces.root.resolve()),
        "model_sha256": network.file.sha256,
        "preprocessing": network.expects,
        "kind": rows.rule.kind,
        "flip": rows.rule.flip,
        "fusion": rows.rule.fusion,
        "consensus": rows.rule.consensus,
        "frame_quality_sha256": None if quality is None else quality.file.sha256,
        "frame_quality_preprocessing": None if quality is None else quality.expects,
        "batch_size": rows.batch_size,
        **{package: version(package) for package in SOFTWARE},
    }
