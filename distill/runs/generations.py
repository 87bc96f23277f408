"""Recursive distillation: generations of a student, each trained from the weights of the one before.

VarGFaceNet (Yan et al., arXiv 1910.04985): the second generation begins with the first one's weights and learns from
the same teacher. Whether the learning rate restarts and the class weights carry over has not been published. Here
the optimiser, the schedules of learning rate and term weights, and the order of the images restart; class centres
carry over with their second moments (``student.centres``), because random ones would first undo what the student has
learned. Every generation is a run of its own: NAME, NAME-g2, NAME-g3, ...; the first is the run of the same command
without ``generations``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from distill.config.training_jobs import DistillConf
from distill.runs.finish import Judged, TrainedRun, finish_run, show
from distill.runs.folder import RunFolder, fresh_name, open_run, tracked
from distill.runs.identity import remember
from distill.runs.student import RunInputs, identity, train
from distill.shown import shown

BEGINS_WITH = ("student.init", "student.centres")
"""Paths of the generation before: the contents that they name identify a later generation, wherever its folder is."""


@dataclass(frozen=True)
class Generations:
    """The runs of one command, numbered from 1."""

    conf: DistillConf
    opened: RunInputs

    @property
    def root(self) -> Path:
        return Path(self.conf.run.root)

    @cached_property
    def first(self) -> str:
        """The name of the first run; with ``run.fresh`` of a new one, or of one whose last generation is unfinished."""
        conf = self.conf
        digits = identity(conf, self.opened).digits
        name = conf.run.name or f"{conf.student.name}-{conf.teacher.name}-{digits}"
        return fresh_name(self.root, name, _end(conf.generations)) if conf.run.fresh else name

    def folder(self, number: int) -> RunFolder:
        """The run of a generation, there or not yet."""
        return RunFolder(self.root / f"{self.first}{_end(number)}")

    def configuration(self, number: int) -> DistillConf:
        """A generation as a run of its own, which can be repeated without the others' options."""
        conf = replace(self.conf, generations=1)
        if number == 1:
            return conf
        before, tracking = str(self.folder(number - 1).path), conf.tracking
        return replace(
            conf,
            student=replace(conf.student, init=before, centres=before),
            tracking=replace(
                tracking,
                name=tracking.name and f"{tracking.name}{_end(number)}",
                id=tracking.id and f"{tracking.id}{_end(number)}",
            ),
            run=replace(conf.run, name=self.folder(number).path.name, fresh=False),
        )

    def distil(self, number: int, judged: Judged | None = None) -> int:
        """Train a generation to its report, or continue it, or show it where it is finished; its exit status.

        A finished one that is not the last is named only. ``judged`` compares it with the one before.
        """
        conf, path, last = self.configuration(number), self.folder(number).path, number == self.conf.generations
        # the first one's inputs are opened and remembered already
        opened = self.opened if number == 1 else replace(self.opened, student=conf.student)
        ignored = BEGINS_WITH if number > 1 else ()
        with open_run(self.root, path.name, False, conf, ignored) as folder:
            remember(folder, identity(conf, opened))
            if folder.finished and not last:
                print(f"generation {number} is finished: {shown(folder.path)}")
                return 0
            if folder.finished:
                print(f"this run is finished; run.fresh=true trains another one: {shown(folder.path)}")
                return show(folder)
            if number > 1:
                print(f"generation {number} begins with the student of {shown(conf.student.init or '')}")
            with tracked(folder, conf.tracking, conf) as wandb:
                network, trained = train(conf, opened, folder, [wandb], rehearsal=number == 1)
                run = TrainedRun(folder, conf, opened.pairs, opened.supervision, trained, wandb, judged)
                return finish_run(run, network)


def _end(number: int) -> str:
    """How the name of a generation's run ends."""
    return f"-g{number}" if number > 1 else ""
