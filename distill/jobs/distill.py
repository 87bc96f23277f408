"""``make distill``: from images and a teacher to a checked ONNX student, in one run folder for each generation."""

from __future__ import annotations

from distill.config.training_jobs import DistillConf
from distill.judge.generations import benchmarks_of, judged_against
from distill.runs.generations import Generations
from distill.runs.requirements import require_at_least
from distill.runs.student import open_inputs
from distill.runs.unfinished import report_unfinished


def run(conf: DistillConf) -> int:
    """Train, export, compare, check, verify, report; 0 where the last student passes its protocol, 1 where not."""
    require_at_least(conf, generations=1)
    opened = open_inputs(conf)
    benchmarks = benchmarks_of(conf.data, opened.pairs) if conf.generations > 1 else []
    generations = Generations(conf, opened)
    report_unfinished(generations.root, generations.first, conf)
    status = generations.distil(1)
    for number in range(2, conf.generations + 1):
        before, name = generations.folder(number - 1), generations.folder(number).path.name
        status = generations.distil(number, judged_against(before, number, name, benchmarks, opened.pairs))
    return status
