"""The student of a night, from frozen data to a file that is proven: train, export, parity, check."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from distill.config.groups import DataConf, ExportConf, RunConf
from distill.config.service_jobs import Start
from distill.config.training_jobs import DistillConf, ReplayConf
from distill.errors import UserError
from distill.export.parity import Parity, parity
from distill.files.atomic import write_json
from distill.files.json_file import read_json
from distill.files.tensor_cache import CACHE
from distill.nightly.drop_signals import JOINED
from distill.nightly.pipeline import Done, Records
from distill.nightly.results import CheckResult, ExportResult, ParityResult, TrainResult
from distill.nightly.service_folder import Night
from distill.nightly.task import RUN, Task
from distill.registry.version import Version
from distill.runs.assemble import verification_pairs
from distill.runs.centres_file import CENTRES
from distill.runs.check import FILE, check
from distill.runs.export import FRAME_QUALITY_ONNX, export_frame_quality, parity_images, trained_student, write_network
from distill.runs.finish import Trained
from distill.runs.folder import STUDENT_ONNX, STUDENT_WEIGHTS, RunFolder, open_run, tracked
from distill.runs.identity import IDENTITY, RunIdentity, remember
from distill.runs.student import identity, open_inputs, train

TRAINED = "trained.json"


@dataclass(frozen=True)
class Beginning:
    """What a student begins with: the champion whose weights and centres it takes, or None."""

    champion: Version | None

    @property
    def name(self) -> str:
        return "anew" if self.champion is None else "champion"


def beginning(task: Task, champion: Version | None) -> Beginning:
    """Warm start from the champion, if configured and if its version holds weights and centres."""
    usable = champion is not None and {STUDENT_WEIGHTS, CENTRES} <= champion.files.keys()
    return Beginning(champion if usable and task.conf.start is Start.champion else None)


def data_conf(task: Task) -> DataConf:
    """The night's frozen data, nothing beside them, and the frozen sets that students are scored on."""
    conf = task.conf
    reader = {**conf.data.reader, "drops": str(Path(conf.drops).absolute())}
    pairs = conf.benchmarks or conf.drops
    return replace(conf.data, root=str(task.night.folder), reader=reader, transfer=[], pairs=pairs)


def student_conf(task: Task, begins: Beginning) -> DistillConf:
    """The night's student as a run of ``make distill``, which can be repeated from its folder."""
    conf, night = task.conf, task.night
    old = begins.champion
    student = conf.student
    if old is not None:
        student = replace(student, init=str(old.file(STUDENT_WEIGHTS)), centres=str(old.file(CENTRES)))
    return DistillConf(
        teacher=conf.teacher,
        student=student,
        data=data_conf(task),
        objective=conf.objective,
        protocol=conf.protocol,
        trainer=conf.trainer if old is None else conf.continued,
        tracking=replace(conf.tracking, group=f"night-{night.name}"),
        export=conf.export,
        run=RunConf(root=str(night.folder), name=RUN),
        signals=str(night.folder / JOINED),
        replay=ReplayConf() if old is None else ReplayConf(conf.replay, old.facts["images"], night.number),
        seed=conf.seed,
    )


def run_folder(night: Night) -> RunFolder:
    return RunFolder(night.folder / RUN)


def trained_of(night: Night) -> Trained:
    """Results of the night's training."""
    return Trained(**read_json(run_folder(night).file(TRAINED)))


def train_stage(task: Task, begins: Beginning) -> Done:
    """Train from the last checkpoint, or from the start, to the end."""
    conf = student_conf(task, begins)
    if begins.champion is not None:
        begins.champion.verified()
    opened = open_inputs(conf, task.root / CACHE, task.networks.teacher)
    night, folder = task.night, run_folder(task.night)
    _begin_again_if_other(folder, identity(conf, opened))
    with open_run(night.folder, RUN, False, conf), tracked(folder, conf.tracking, conf) as wandb:
        _, trained = train(conf, opened, folder, [wandb], rehearsal=begins.champion is None)
    write_json(folder.file(TRAINED), asdict(trained))
    files = [folder.file(name) for name in (STUDENT_WEIGHTS, CENTRES, TRAINED)]
    old = conf.replay.old_images or 0
    return Done(
        TrainResult(
            start=begins.name,
            from_version=None if begins.champion is None else begins.champion.name,
            images=opened.images,
            image_steps=trained.machine["image_steps"],
            replayed=old if opened.rows is None else int((opened.rows < old).sum()),
            seconds=trained.training_s,
        ),
        [path for path in files if path.exists()],
    )


def _begin_again_if_other(folder: RunFolder, wanted: RunIdentity) -> None:
    """A run folder whose checkpoint is of other data or options is removed: its student would be neither."""
    mark = folder.file(IDENTITY)
    if folder.path.exists() and (not mark.exists() or mark.read_text("utf-8") != wanted.text()):
        shutil.rmtree(folder.path)
    remember(folder, wanted)


def export_stage(task: Task) -> Done:
    """The ONNX file of the student, and of its frame quality where it has one of its own."""
    folder, conf, name = run_folder(task.night), task.conf.export, f"night-{task.night.name}"
    network, path = trained_student(folder, task.conf.student), folder.file(STUDENT_ONNX)
    write_network(network, path, name, conf)
    beside = export_frame_quality(network, folder.path, name, conf, _images(task))
    return Done(ExportResult(path.stat().st_size), [path] if beside is None else [path, beside])


def parity_stage(task: Task) -> Done:
    """Parity of file and network. Beyond the limits the judge rejects the student."""
    folder = run_folder(task.night)
    found = parity(trained_student(folder, task.conf.student), folder.file(STUDENT_ONNX), _images(task))
    if not math.isfinite(found.max_relative) or not math.isfinite(found.max_cosine):
        raise UserError(f"{folder.file(STUDENT_ONNX)}: gives embeddings that are not finite; expected numbers")
    reason = _beyond(found, task.conf.export)
    return Done(
        ParityResult(
            max_difference=found.max_relative,
            min_cosine=1 - found.max_cosine,
            passed=not reason,
            reason=reason,
            parity=asdict(found),
        )
    )


def _images(task: Task) -> Tensor:
    return parity_images(verification_pairs(data_conf(task))[0], task.conf.export.parity_images)


def _beyond(found: Parity, conf: ExportConf) -> str:
    """Why the differences are too large, in words; "" where they are not."""
    try:
        found.require(conf.max_relative_difference, conf.max_cosine_difference)
    except UserError as error:
        return str(error)
    return ""


def check_stage(task: Task) -> Done:
    """The limits of the protocol."""
    folder = run_folder(task.night)
    verdict = check(task.student, task.conf.protocol, folder.path)
    found: dict[str, Any] = verdict.to_json()
    return Done(
        CheckResult(
            verdict="PASS" if verdict.passed else "FAIL",
            flops=found["flops"],
            bytes=found["bytes"],
            reasons=list(verdict.reasons),
        ),
        [folder.file(FILE)],
    )


def parity_of(done: Records) -> Parity:
    """What the stage ``parity`` found."""
    stored = ParityResult.of(done).parity
    return Parity(**{**stored, "batches": tuple(stored["batches"])})


def version_files(night: Night) -> dict[str, Path]:
    """What a version of the registry holds of a night's student."""
    names = (STUDENT_ONNX, STUDENT_WEIGHTS, CENTRES, FRAME_QUALITY_ONNX, "card.md", FILE)
    files = {name: run_folder(night).file(name) for name in names}
    return {name: path for name, path in files.items() if path.exists()}
