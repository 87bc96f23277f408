"""Labelled sets, from feature files and from what ``make evaluate`` has found, for the page of curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.config.scoring_jobs import CurvesConf
from distill.curves.hard_pairs import of_survey
from distill.curves.page import ModelCurves, SetCurves
from distill.errors import UserError
from distill.features.evaluation import FILE, Evaluation, labelled_features, read_evaluation
from distill.features.face_list import FaceList, Kind, read_labels, read_lines
from distill.features.writer import journal_path
from distill.files.json_file import read_json
from distill.metrics.allpairs.engine import Engine
from distill.metrics.allpairs.exhaustive import Survey, survey_pairs
from distill.metrics.allpairs.intervals import KEPT_PAIRS
from distill.metrics.allpairs.pairing import LabelledFeatures, Pairing
from distill.metrics.allpairs.result import AllPairs, Point
from distill.metrics.allpairs.score import Settings, score_all_pairs
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.operating import PER_DECADE, decades, fpr_grid
from distill.progress import waiting
from distill.runs.model_file import distinct_names, model_name
from distill.shown import shown


@dataclass(frozen=True, eq=False)
class _Survey:
    """What a survey is of: features, and the list of their faces."""

    features: LabelledFeatures
    faces: FaceList


def feature_sets(files: Sequence[str], conf: CurvesConf) -> list[SetCurves]:
    """Feature files of the one labelled set that ``conf.data`` names, as one section."""
    if not files:
        return []
    if conf.data.root is None:
        raise UserError("data.root is missing: the folder with filelist.txt and labels.txt that the features are of")
    root, kind = Path(conf.data.root), conf.kind.value
    names = distinct_names([Path(file) for file in files], "features")
    faces = FaceList(read_lines(root / conf.data.list, kind), root, kind)
    people = read_labels(root / conf.data.labels, faces)
    opened = [labelled_features(Path(file), people) for file in files]
    for features in opened:
        _require_both_kinds(Pairing(features), root / conf.data.labels)
    models = []
    for name, features in zip(names, opened, strict=True):
        points = _points(features, conf)
        models.append(_judged(name, points, _survey(features, conf), _Survey(features, faces), conf))
    return [SetCurves(shown(root / conf.data.list), models, "persons", Bootstrap.confidence)]


def evaluated_sets(places: Sequence[str], conf: CurvesConf) -> list[SetCurves]:
    """Evaluations, those of one list and the same pairs in one section."""
    paths = [Path(place) / FILE if Path(place).is_dir() else Path(place) for place in places]
    distinct_names(paths, "evaluations")  # refuses what is given twice
    found = sorted((read_evaluation(path) for path in paths), key=_set_of)
    return [_together(list(group), conf) for _, group in groupby(found, key=_set_of)]


def _together(evaluations: Sequence[Evaluation], conf: CurvesConf) -> SetCurves:
    """Evaluations of one set, called by their models, or by their folders where one model has several."""
    models = [model_name(evaluation.model) for evaluation in evaluations]
    if len({model.resolve() for model in models}) == len(models):
        names = distinct_names(models, "models")
    else:
        names = distinct_names([evaluation.path for evaluation in evaluations], "evaluations")
    judged = [_evaluated(evaluation, name, conf) for evaluation, name in zip(evaluations, names, strict=True)]
    first = evaluations[0]
    return SetCurves(shown(first.list), judged, "persons", first.scores.confidence)


def _set_of(evaluation: Evaluation) -> tuple[str, int, int]:
    return evaluation.list_sha256, evaluation.scores.genuine, evaluation.scores.impostor


def _evaluated(evaluation: Evaluation, name: str, conf: CurvesConf) -> ModelCurves:
    """Its points, and what its features show where they are still there."""
    if not conf.every_pair or not evaluation.features.is_file():
        return _judged(name, evaluation.scores, None, None, conf)
    faces, people = _faces_of(evaluation)
    features = labelled_features(evaluation.features, people)
    if Pairing(features).genuine != evaluation.scores.genuine:
        raise UserError(f"{evaluation.labels}: has changed since {evaluation.path} was written; evaluate again")
    return _judged(name, evaluation.scores, _survey(features, conf), _Survey(features, faces), conf)


def _faces_of(evaluation: Evaluation) -> tuple[FaceList, NDArray[np.int64]]:
    """The list as it was evaluated, and its people; the journal of the features knows where the faces lie."""
    journal: Mapping[str, Any] = read_json(journal_path(evaluation.features))
    if journal.get("model_sha256") != evaluation.model_sha256:
        raise UserError(f"{evaluation.features}: is of another network than {evaluation.path}; evaluate again")
    kind: Kind = "video" if journal.get("kind") == "video" else "image"
    faces = FaceList(read_lines(evaluation.list, kind), Path(str(journal.get("root"))), kind)
    if faces.lines.sha256 != evaluation.list_sha256:
        raise UserError(f"{evaluation.list}: has changed since {evaluation.path} was written; evaluate again")
    return faces, read_labels(evaluation.labels, faces)


def _points(features: LabelledFeatures, conf: CurvesConf) -> AllPairs:
    """At every FPR of the table; of few pairs, where it costs nothing, at those of a full band too."""
    impostor = Pairing(features).impostor
    fprs = {*(conf.fprs or decades(impostor)), *(fpr_grid(impostor) if impostor <= KEPT_PAIRS else ())}
    settings = Settings(
        fprs=sorted(fprs, reverse=True),
        bootstrap=Bootstrap(conf.bootstrap, seed=conf.seed),
        engine=Engine(max_memory_bytes=conf.max_memory_bytes, device=conf.device),
    )
    return score_all_pairs(features, settings=settings)


def _survey(features: LabelledFeatures, conf: CurvesConf) -> Survey | None:
    if not conf.every_pair:
        return None
    pairing = Pairing(features)
    with waiting(f"{features.name}: scoring every pair", pairing.pairs, "pairs") as progress:
        return survey_pairs(pairing, conf.hardest, conf.max_memory_bytes, progress)


def _judged(name: str, scores: AllPairs, survey: Survey | None, shown: _Survey | None, conf: CurvesConf) -> ModelCurves:
    band = [point for point in scores.points if point.tpr is not None]
    known = sorted((point.fpr, point.tpr) for point in band if point.tpr is not None)
    return ModelCurves(
        name,
        curve=known if survey is None else _thinned(survey.curve(), scores.impostor),
        points=_shown(scores, conf),
        band=band,
        impostor=scores.impostor,
        genuine=scores.genuine,
        histogram=None if survey is None else survey.histogram(),
        hard=[]
        if survey is None or shown is None
        else of_survey(survey, shown.features, shown.faces if conf.show_faces else None),
        dots=survey is None,
        note="" if survey else "known at these FPRs only",
    )


def _shown(scores: AllPairs, conf: CurvesConf) -> list[Point]:
    """Points of the table: the FPRs asked for, or all decades down to the first that the pairs do not support."""
    asked = conf.fprs or [*decades(scores.impostor)]
    return [point for point in scores.points if point.fpr in asked]


def _thinned(curve: Sequence[tuple[float, float]], impostor: int) -> list[tuple[float, float]]:
    """Points that one impostor pair or more stands behind, as many a decade as can be seen."""
    kept = {round(2 * PER_DECADE * math.log10(fpr)): (fpr, tpr) for fpr, tpr in curve if fpr * impostor >= 0.5}
    return list(kept.values())


def _require_both_kinds(pairing: Pairing, labels: Path) -> None:
    if not pairing.genuine or not pairing.impostor:
        raise UserError(
            f"{labels}: makes {pairing.genuine:,} genuine and {pairing.impostor:,} impostor pairs; expected both"
        )
