"""``make score``: exact TPR at FPR over all pairs of features that are there already, whoever made them."""

from __future__ import annotations

from pathlib import Path

from distill.config.scoring_jobs import ScoreConf
from distill.errors import UserError
from distill.features.face_list import read_people
from distill.features.labelled_rows import open_rows, readable_rows
from distill.files.atomic import write_json
from distill.files.writable import require_writable
from distill.metrics.allpairs import AllPairs, Engine, LabelledFeatures, Settings, score_all_pairs
from distill.metrics.bootstrap import Bootstrap
from distill.report.terminal import print_facts, print_figures
from distill.runs.requirements import require_at_least, require_engine
from distill.shown import shown

COLUMNS = ("FPR", "TPR", "interval", "threshold", "impostor pairs accepted")


def run(conf: ScoreConf) -> int:
    """Score one set, or gallery and probes; print the points and write them as JSON."""
    require_at_least(conf, bootstrap=0, seed=0)
    sides, settings = _sides(conf), _settings(conf)
    require_engine(settings.engine, sides[0].features.shape[1])
    require_writable(Path(conf.out), "out=FILE")
    scores = score_all_pairs(*sides, settings=settings, work=None if conf.work is None else Path(conf.work))
    about = {"features": [side.name for side in sides], "rows_left_out": _left_out(sides)}
    write_json(Path(conf.out), {**about, "scores": scores.to_json()})
    print_facts("pairs", _facts(scores))
    print_figures(COLUMNS, scores.rows_of_table())
    print(f"written   {shown(conf.out)}")
    return 0


def _sides(conf: ScoreConf) -> list[LabelledFeatures]:
    """The features with their people, who are the same on both sides if their labels are."""
    if (conf.probes is None) != (conf.probe_labels is None):
        raise UserError(
            f"probes is {conf.probes} and probe_labels is {conf.probe_labels}; expected both of them, or neither"
        )
    named = [(conf.features, conf.labels), (conf.probes, conf.probe_labels)]
    given = [(Path(features), Path(labels)) for features, labels in named if features and labels]
    opened = [open_rows(features) for features, _ in given]
    people = read_people([(labels, len(rows)) for (_, labels), rows in zip(given, opened, strict=True)])
    return [readable_rows(path, rows, who) for (path, _), rows, who in zip(given, opened, people, strict=True)]


def _left_out(sides: list[LabelledFeatures]) -> list[int]:
    return [len(side.features) - len(side) for side in sides]


def _settings(conf: ScoreConf) -> Settings:
    return Settings(
        fprs=conf.fprs,
        bootstrap=Bootstrap(conf.bootstrap, seed=conf.seed) if conf.bootstrap else None,
        engine=Engine(max_memory_bytes=conf.max_memory_bytes, device=conf.device),
    )


def _facts(scores: AllPairs) -> list[tuple[str, str]]:
    return [
        ("features", " x ".join(f"{rows:,}" for rows in scores.rows) + f", {scores.columns} columns"),
        ("people", f"{scores.identities:,}, and {scores.distractors:,} distractors"),
        ("pairs", f"{scores.pairs:,}: {scores.genuine:,} genuine, {scores.impostor:,} impostor"),
    ]
