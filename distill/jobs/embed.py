"""``make embed``: the feature file of a list of images or videos, row by row, continued where it was interrupted."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from distill.features.embed import FaceRows
from distill.features.face_list import FaceList, Kind, find_faces, read_lines
from distill.features.feature_file import file_bytes, verify_features
from distill.features.rule import RowRule
from distill.features.writer import FeatureWriter
from distill.jobs.check import describe
from distill.jobs.model_file import model_file, model_sha256
from distill.jobs.schema import EmbedConf
from distill.tracking.summary import print_facts
from distill.types import UserError
from distill.waiting import waiting
from teachers.onnx_network import OnnxNetwork

SOFTWARE = ("onnxruntime", "simplejpeg", "opencv-python-headless")
"""What may round otherwise in another version."""


def run(conf: EmbedConf) -> int:
    """Write the feature file and read it back; 0."""
    kind: Kind = conf.kind.value
    flip = kind == "image" if conf.flip is None else conf.flip
    rule = RowRule(kind, flip, conf.fusion.value if kind == "video" else None)
    network = OnnxNetwork(model_file(conf.model))
    path = Path(conf.list)
    faces = open_list(path, Path(conf.root) if conf.root else path.parent, kind)
    out = Path(conf.out)
    write_features(network, faces, rule, conf.batch_size, out, conf.fresh)
    print_facts(
        "features",
        [
            ("file", str(out)),
            ("rows", f"{len(faces):,}, each finite and of unit length"),
            ("columns", str(network.embedding_dim)),
            ("bytes", f"{file_bytes(len(faces), network.embedding_dim):,}"),
            ("a row is", rule.words),
            ("preprocessing", describe(network.preprocessing, network.preprocessing_source)),
        ],
    )
    return 0


def open_list(path: Path, root: Path, kind: Kind) -> FaceList:
    """The list with every entry looked for, so that a wrong one stops the job before its first embedding."""
    lines = read_lines(path, kind)
    with waiting(f"looking for what {path.name} lists", len(lines), f"{kind}s") as progress:
        return find_faces(lines, root, kind, progress)


def write_features(
    network: OnnxNetwork, faces: FaceList, rule: RowRule, batch_size: int, out: Path, fresh: bool
) -> None:
    """Write the rows that are missing in ``out``, and verify all of them."""
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; expected at least 1")
    rows = FaceRows(faces, network, rule, batch_size)
    with FeatureWriter(out, (len(faces), network.embedding_dim), _made_of(rows, network), fresh) as writer:
        if writer.done:
            print(f"{out}: {writer.done:,} of {len(faces):,} rows are there already")
        if writer.done < len(faces):
            left = len(faces) - writer.done
            with waiting(f"embedding {faces.lines.path.name}", left, f"{rule.kind}s") as progress:
                rows.write(writer, progress)
        writer.finish()
    with waiting(f"verifying {out.name}", len(faces), "rows") as progress:
        verify_features(out, len(faces), progress)


def _made_of(rows: FaceRows, network: OnnxNetwork) -> dict[str, Any]:
    """All that decides the bytes of a feature file, for the journal beside it."""
    return {
        "list_sha256": rows.faces.lines.sha256,
        "root": str(rows.faces.root.resolve()),
        "model_sha256": model_sha256(network.path),
        "preprocessing": describe(network.preprocessing, network.preprocessing_source),
        "kind": rows.rule.kind,
        "flip": rows.rule.flip,
        "fusion": rows.rule.fusion,
        "batch_size": rows.batch_size,
        **{package: version(package) for package in SOFTWARE},
    }
