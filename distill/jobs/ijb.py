"""``make ijb model=FILE.onnx data.root=IJBC``: IJB-B or IJB-C, 1:1 verification or 1:N identification."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from distill.config.scoring_jobs import IjbConf, IjbTask
from distill.data.damage import Damage
from distill.data.ijb import find_ijb, read_faces, require_scores
from distill.features.template_sums import Bound, Pooling, pool_images
from distill.features.template_tasks import lost_templates, read_identifying, read_verifying
from distill.files.atomic import write_json
from distill.files.writable import require_writable
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.templates import template_features
from distill.report.terminal import print_figures
from distill.runs.model_file import model_file
from distill.runs.requirements import require_at_least
from distill.shown import shown
from teachers.onnx_network import OnnxNetwork

COLUMNS = ("exact", "published rule", "interval")


def run(conf: IjbConf) -> int:
    """Print the figures and write them beside the model or into ``out``; all text files are read before any image."""
    require_at_least(conf, batch_size=1, bootstrap=1, seed=0)
    folder, model = find_ijb(Path(conf.data.root)), model_file(conf.model)
    network, faces = OnnxNetwork(model), read_faces(folder)
    if conf.detector_score:
        require_scores(faces)
    templates = np.unique(faces.template)
    read_task = read_identifying if conf.task is IjbTask.identify else read_verifying
    task = read_task(folder, templates)
    out = Path(conf.out) if conf.out else model.parent
    result = require_writable(out / f"{folder.name}_{conf.task.value}.json")
    how = Pooling(conf.flip, conf.detector_score, conf.batch_size)
    source = network.expects
    known, damage = network.file.sha256, Damage(conf.max_damaged)
    key = _key(known, source, str(how), faces.fingerprint())
    sums = pool_images(network, faces, how, Bound(out / f"{folder.name}_templates.npz", key), damage)
    lost = lost_templates(faces, templates, damage)
    features = np.zeros_like(sums)
    features[~lost] = template_features(sums[~lost])
    task, left_out = task.without(lost)
    found = task.judge(features, Bootstrap(resamples=conf.bootstrap, seed=conf.seed))
    for title, rows in found.tables.items():
        print_figures((title, *COLUMNS), rows)
    print(f"features: {how}\npreprocessing: {source}")
    about = {"model": shown(model), "model_sha256": known}
    about |= {"set": shown(folder.name), "images": len(faces), "templates": len(templates)}
    about |= {"features": str(how), "preprocessing": source}
    about |= {**damage.to_json(), "templates_left_out": int(lost.sum()), **left_out}
    if len(damage):
        gone = ", ".join(f"{count:,} {what.removesuffix('_left_out')}" for what, count in left_out.items())
        print(f"{damage.words()}, and with them {lost.sum():,} templates and {gone}")
    write_json(result, {**about, **found.json})
    return 0


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()
