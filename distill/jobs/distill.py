"""``make distill``: from images and a teacher to a checked ONNX student, in one run folder."""

from __future__ import annotations

from pathlib import Path

from distill.config.training_jobs import DistillConf
from distill.runs.finish import TrainedRun, finish_run, show
from distill.runs.folder import open_run, tracked
from distill.runs.identity import remember
from distill.runs.student import identity, open_inputs, train
from distill.runs.unfinished import report_unfinished
from distill.shown import shown as shown_text


def run(conf: DistillConf) -> int:
    """Train, export, compare, check, verify, report; 0 where the student passes its protocol, 1 where it does not."""
    opened, root = open_inputs(conf), Path(conf.run.root)
    known = identity(conf, opened)
    name = conf.run.name or f"{conf.student.name}-{conf.teacher.name}-{known.digits}"
    report_unfinished(root, name, conf)
    with open_run(root, name, conf.run.fresh, conf) as folder:
        remember(folder, known)
        if folder.finished:
            print(f"this run is finished; run.fresh=true trains another one: {shown_text(folder.path)}")
            return show(folder)
        with tracked(folder, conf.tracking, conf) as wandb:
            network, trained = train(conf, opened, folder, [wandb])
            return finish_run(TrainedRun(folder, conf, opened.pairs, opened.supervision, trained, wandb), network)
