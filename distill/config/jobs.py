"""The jobs of the command line: the type of each one's configuration, what it does, and two examples of its use."""

from __future__ import annotations

from dataclasses import dataclass

from distill.config.scoring_jobs import (
    CurvesConf,
    EmbedConf,
    EvaluateConf,
    IjbConf,
    JudgeJobConf,
    ScoreConf,
    VerifyConf,
)
from distill.config.service_jobs import NightlyConf, NightsConf, RegistryConf, RollbackConf
from distill.config.training_jobs import CheckConf, ContactSheetConf, DistillConf, ExportJobConf, SignalsConf, TeachConf


@dataclass(frozen=True)
class Job:
    """The type of a job's configuration, what the job does in a phrase, and arguments that show its use."""

    conf: type
    does: str
    examples: tuple[str, str]


JOBS = {
    "distill": Job(
        DistillConf,
        "distil a teacher into a student, export it to ONNX and check it",
        (
            "data.root=/data/faces teacher=r100 teacher.weights=backbone.pth",
            "teacher=none objective=margin student=mobilefacenet_512",
        ),
    ),
    "teach": Job(
        TeachConf,
        "train a teacher with a margin loss, export it to ONNX and check it",
        ("teacher=r50 data.root=/data/faces", "teacher=r18 trainer.epochs=20 trainer.images=null"),
    ),
    "signals": Job(
        SignalsConf,
        "run a teacher once over a set and store its outputs",
        ("data.root=/data/faces teacher=onnx teacher.weights=teacher.onnx", "teacher=r152 maps=[stage3,stage4]"),
    ),
    "export": Job(
        ExportJobConf,
        "write the ONNX file of a run again, with parity and verdict",
        ("run=runs/latest", "run=runs/latest out=exported protocol=iqiyi_light"),
    ),
    "check": Job(
        CheckConf,
        "check an ONNX file against the limits of a protocol",
        ("model=student.onnx", "model=student.onnx protocol=iqiyi_light"),
    ),
    "verify": Job(
        VerifyConf,
        "score an ONNX file on verification pairs",
        ("model=student.onnx pairs=lfw.bin", "model=runs/latest pairs=[lfw.bin,cfp_fp.bin] out=scores"),
    ),
    "embed": Job(
        EmbedConf,
        "write the feature file of a list of images or videos",
        (
            "model=runs/latest list=filelist.txt out=features.bin",
            "model=runs/latest list=videos.txt out=features.bin kind=video fusion=norm",
        ),
    ),
    "evaluate": Job(
        EvaluateConf,
        "features, score and limits of an ONNX file by one protocol",
        (
            "model=runs/latest data.root=/data/labelled",
            "model=student.onnx data.root=/data/videos protocol=iqiyi_light",
        ),
    ),
    "score": Job(
        ScoreConf,
        "exact TPR at FPR over all pairs of features",
        (
            "features=features.bin labels=labels.txt fprs=[1e-4,1e-6]",
            "features=gallery.bin labels=gallery.txt probes=probes.bin probe_labels=probes.txt",
        ),
    ),
    "ijb": Job(
        IjbConf,
        "score an ONNX file on IJB-B or IJB-C, 1:1 or 1:N",
        ("model=student.onnx data.root=/data/IJBC", "model=student.onnx data.root=/data/IJBC task=identify"),
    ),
    "curves": Job(
        CurvesConf,
        "compare models: ROC, DET, thresholds and hardest pairs, as one page",
        ("models=[a.onnx,runs/latest] pairs=lfw.bin", "evaluations=[runs/a/evaluation,runs/b/evaluation] out=ab.html"),
    ),
    "judge": Job(
        JudgeJobConf,
        "compare challenger with champion: non-inferior or not in every slice, with reasons",
        (
            "challenger=runs/latest pairs=lfw.bin",
            "challenger=runs/latest champion=old.onnx pairs=[lfw.bin,cfp_fp.bin] judge.margin.accuracy=0.01",
        ),
    ),
    "nightly": Job(
        NightlyConf,
        "retrain on new data; promote the student if it passes and is non-inferior",
        ("drops=/data/drops", "drops=/data/drops start=scratch benchmarks=/data/benchmarks"),
    ),
    "nights": Job(
        NightsConf,
        "history of nightly runs: scores, champions, cost, data, as one page",
        ("root=nightly", "root=/srv/nightly out=history.html"),
    ),
    "registry": Job(
        RegistryConf,
        "list and verify the model versions of a nightly service",
        ("root=nightly", "root=nightly prune=true newest=3"),
    ),
    "rollback": Job(
        RollbackConf,
        "roll a service back to its previous version (idempotent)",
        ("root=nightly", "root=nightly to=v0007 why='false accepts rose'"),
    ),
    "contact_sheet": Job(
        ContactSheetConf,
        "draw a sheet of synthetic faces",
        ("people=4 pictures=6", "seed=7 side_px=112 out=sheet.png"),
    ),
}
