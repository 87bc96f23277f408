"""The teacher that a configuration names: loaded, identified, and tried before a long run trusts it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from distill.data.pairs import Pairs
from distill.jobs.build import build
from distill.jobs.schema import TeacherConf
from distill.machine import has_fast_bf16
from distill.trial import try_teacher
from distill.types import Preprocessing
from teachers.card import parse_preprocessing
from teachers.teacher import Teacher, load_teacher

_log = logging.getLogger(__name__)


def open_teacher(conf: TeacherConf, fingerprint: str) -> Teacher | None:
    """The teacher with its weights, card and preprocessing, ready to look at images; None for ``teacher=none``."""
    if conf.network is None and conf.weights is None:
        return None
    weights = None if conf.weights is None else Path(conf.weights)
    network = None if conf.network is None else build(conf.network, "teacher.network")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = conf.precision.value
    chosen: Any = ("bf16" if has_fast_bf16(device) else "fp32") if precision == "auto" else precision
    return load_teacher(
        conf.name,
        network,
        weights,
        None if conf.card is None else Path(conf.card),
        _preprocessing(conf),
        chosen,
        fingerprint,
    ).to(device)


def _preprocessing(conf: TeacherConf) -> Preprocessing | None:
    if conf.preprocessing is None:
        return None
    return parse_preprocessing(conf.preprocessing, "teacher.preprocessing")


def try_out(teacher: Teacher, conf: TeacherConf, pairs: Pairs) -> bool:
    """Score the teacher on a few hundred pairs and stop a run that trusts a useless one; False where that is off."""
    if not conf.check:
        _log.warning("teacher %s is not tried before the run: teacher.check=false", conf.name)
        return False
    result = try_teacher(
        teacher, pairs.images, torch.from_numpy(pairs.same), conf.name, expected_dim=teacher.card.embedding_dim
    )
    _log.info("teacher %s: AUC %.4f on %d pairs of %s", conf.name, result.auc, result.pairs, pairs.name)
    return True
