"""``make distill``: from images and a teacher to a checked ONNX student, in one run folder."""

from __future__ import annotations

from pathlib import Path

from distill.config.training_jobs import DistillConf
from distill.runs.assemble import augmentation, labelled_faces, shown_rows, verification_pairs, with_transfer
from distill.runs.finish import Delivery, deliver, show
from distill.runs.folder import open_run, tracked
from distill.runs.identity import remember
from distill.runs.student import RunInputs, identity, train
from distill.runs.supervision import TrainingView, require_teacher, supervise
from distill.runs.unfinished import tell_unfinished
from distill.shown import shown as shown_text


def run(conf: DistillConf) -> int:
    """Train, export, compare, check, verify, report; 0 where the student passes its protocol, 1 where it does not."""
    require_teacher(conf.teacher, conf.signals)
    labelled = labelled_faces(conf.data)
    faces, pairs = with_transfer(labelled, conf.data), verification_pairs(conf.data)
    rows = shown_rows(conf.replay, labelled, faces, conf.seed)
    shown = TrainingView(labelled, faces, augmentation(conf.data), conf.seed)
    root = Path(conf.run.root)
    opened = RunInputs(shown, pairs, supervise(conf.teacher, conf.signals, shown, root / ".cache"), rows)
    known = identity(conf, opened)
    name = conf.run.name or f"{conf.student.name}-{conf.teacher.name}-{known.digits}"
    tell_unfinished(root, name, conf)
    with open_run(root, name, conf.run.fresh, conf) as folder:
        remember(folder, known)
        if folder.finished:
            print(f"this run is finished; run.fresh=true trains another one: {shown_text(folder.path)}")
            return show(folder)
        with tracked(folder, conf.tracking, conf) as wandb:
            network, trained = train(conf, opened, folder, [wandb])
            return deliver(Delivery(folder, conf, opened.pairs, opened.supervision, trained, wandb), network)
