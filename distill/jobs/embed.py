"""``make embed``: the feature file of a list of images or videos, row by row, continued where it was interrupted."""

from __future__ import annotations

from pathlib import Path

from distill.config.scoring_jobs import EmbedConf
from distill.data.damage import Damage
from distill.features.face_list import Kind
from distill.features.feature_file import file_bytes
from distill.features.make import Makers, frame_quality, open_list, write_features
from distill.features.rule import RowRule
from distill.files.writable import require_writable
from distill.report.terminal import print_facts
from distill.runs.model_file import model_file
from teachers.onnx_network import OnnxNetwork


def run(conf: EmbedConf) -> int:
    """Write the feature file and read it back; 0."""
    kind: Kind = conf.kind.value
    flip = kind == "image" if conf.flip is None else conf.flip
    rule = RowRule(kind, flip, conf.fusion.value if kind == "video" else None, conf.consensus)
    makers = Makers(OnnxNetwork(model_file(conf.model)), frame_quality(conf.frame_quality, rule))
    network = makers.network
    path = Path(conf.list)
    faces = open_list(path, Path(conf.root) if conf.root else path.parent, kind, conf.links)
    out, damage = require_writable(Path(conf.out), "out=FILE"), Damage(conf.max_damaged)
    empty = write_features(makers, faces, rule, conf.batch_size, out, conf.fresh, damage)
    print_facts(
        "features",
        [
            ("file", str(out)),
            ("rows", _rows(len(faces), empty, damage)),
            ("columns", str(network.embedding_dim)),
            ("bytes", f"{file_bytes(len(faces), network.embedding_dim):,}"),
            ("a row is", rule.words),
            ("preprocessing", network.expects),
        ],
    )
    return 0


def _rows(rows: int, empty: int, damage: Damage) -> str:
    text = f"{rows:,}, each finite and of unit length"
    return f"{text}, but for {empty:,} of zeros: {damage.words()}" if len(damage) else text
