"""``make export run=RUN``: write the ONNX file of a run again, compare it with PyTorch and judge it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from distill.jobs.build import build
from distill.jobs.check import check
from distill.jobs.compose import read_config
from distill.jobs.faces import verification_pairs
from distill.jobs.onnx_student import export_student, parity_images
from distill.jobs.quality import export_frame_quality
from distill.jobs.run_folder import CONFIG, STUDENT_ONNX, STUDENT_WEIGHTS, write_json
from distill.jobs.schema import DistillConf, ExportJobConf
from distill.tracking.summary import print_check
from distill.types import UserError
from teachers.weights import load_into, read_weights

PARITY = "parity.json"


def run(conf: ExportJobConf) -> int:
    """Write ``student.onnx`` and its proofs into the run folder or ``out``; 1 where the check fails."""
    folder = Path(conf.run)
    weights = folder / STUDENT_WEIGHTS
    if not weights.exists():
        raise UserError(f"{folder} holds no {STUDENT_WEIGHTS}: expected the folder of a run whose training is done")
    trained = read_config(folder / CONFIG, DistillConf)
    student = build(trained.student.network, "student.network")
    load_into(student, read_weights(weights))
    out = Path(conf.out) if conf.out else folder
    path = out / STUDENT_ONNX
    images = parity_images(verification_pairs(trained.data)[0], conf.export.parity_images)
    found = export_student(student.eval(), path, folder.resolve().name, conf.export, images)
    export_frame_quality(student.eval(), out, folder.resolve().name, conf.export, images)
    write_json(out / PARITY, asdict(found))
    print(f"{path}: differs from PyTorch by {found.max_relative:.2g} (relative), {found.max_cosine:.2g} (cosine)")
    verdict = check(path, conf.protocol, out)
    print_check(verdict.rows(), verdict.passed, verdict.reasons)
    return 0 if verdict.passed else 1
