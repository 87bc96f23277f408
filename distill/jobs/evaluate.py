"""``make evaluate``: one ONNX file by one protocol, from labelled images or videos to score, verdict and pages."""

from __future__ import annotations

import shutil
from pathlib import Path

from distill.config.scoring_jobs import EvaluateConf
from distill.data.damage import Damage
from distill.features.evaluation import FEATURES, FILE, PAIRS
from distill.features.make import Makers, frame_quality, write_features
from distill.files.writable import require_writable
from distill.runs.check import check
from distill.runs.evaluation import (
    all_pairs_settings,
    made_from,
    open_labelled,
    row_rule,
    score_features,
    write_results,
)
from distill.runs.model_file import model_file
from distill.runs.requirements import require_at_least, require_engine
from teachers.onnx_network import OnnxNetwork


def run(conf: EvaluateConf) -> int:
    """Embed, score, check and report; 0 where the file is within the protocol's limits, else 1."""
    model, protocol = model_file(conf.model), conf.protocol
    out = Path(conf.out) if conf.out else model.parent / f"evaluation-{protocol.name}"
    rule = row_rule(protocol, conf.consensus)
    require_at_least(conf, batch_size=1, bootstrap=1, seed=0)
    settings = all_pairs_settings(conf)
    network = OnnxNetwork(model)
    require_engine(settings.engine, network.embedding_dim)
    makers = Makers(network, frame_quality(conf.frame_quality, rule))
    faces, people = open_labelled(conf.data, rule)
    require_writable(out / FILE)
    verdict = check(network.file, protocol, out)
    damage = Damage(conf.max_damaged)
    empty = write_features(makers, faces, rule, conf.batch_size, out / FEATURES, conf.fresh, damage)
    scores = score_features(conf, settings, out, people)
    facts = made_from(conf, network, faces, rule)
    write_results(out, conf, verdict, scores, facts, damage)
    if len(damage):
        print(f"{damage.words()}, and {empty:,} of {len(faces):,} {rule.kind}s with them")
    shutil.rmtree(out / PAIRS, ignore_errors=True)
    return 0 if verdict.passed else 1
