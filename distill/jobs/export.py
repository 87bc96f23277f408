"""``make export run=RUN``: write the ONNX file of a run again, compare it with PyTorch and judge it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from distill.config.compose import read_config
from distill.config.training_jobs import DistillConf, ExportJobConf
from distill.errors import UserError
from distill.files.atomic import write_json
from distill.files.network_file import NetworkFile
from distill.files.writable import require_writable
from distill.report.terminal import print_check
from distill.runs.assemble import verification_pairs
from distill.runs.check import check
from distill.runs.export import export_frame_quality, export_network, parity_images, trained_student
from distill.runs.folder import CONFIG, STUDENT_ONNX, STUDENT_WEIGHTS, RunFolder
from distill.shown import shown

PARITY = "parity.json"


def run(conf: ExportJobConf) -> int:
    """Write ``student.onnx`` and its proofs into the run folder or ``out``; 1 where the check fails."""
    folder = Path(conf.run)
    if not (folder / STUDENT_WEIGHTS).exists():
        raise UserError(f"{folder} holds no {STUDENT_WEIGHTS}: expected the folder of a run whose training is done")
    trained = read_config(folder / CONFIG, DistillConf)
    student = trained_student(RunFolder(folder), trained.student)
    out = Path(conf.out) if conf.out else folder
    path = require_writable(out / STUDENT_ONNX)
    images = parity_images(verification_pairs(trained.data)[0], conf.export.parity_images)
    found = export_network(student, path, folder.resolve().name, conf.export, images)
    export_frame_quality(student, out, folder.resolve().name, conf.export, images)
    write_json(out / PARITY, asdict(found))
    differs = f"{found.max_relative:.2g} (relative), {found.max_cosine:.2g} (cosine)"
    print(f"{shown(path)}: differs from PyTorch by {differs}")
    verdict = check(NetworkFile(path), conf.protocol, out)
    print_check(verdict.rows(), verdict.passed, verdict.reasons)
    return 0 if verdict.passed else 1
