"""The baseline of a run: the same student without a teacher, from a run beside this one or recorded figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from distill.config.training_jobs import DistillConf
from distill.errors import UserError
from distill.files.json_file import read_json
from distill.runs.folder import METRICS

NOT_COMPARED = (
    *("name", "images", "epochs"),  # the resulting number of steps is compared
    *("precision", "channels_last", "compile", "workers"),
    *("checkpoint_every_steps", "validate_every_steps", "validate_pairs", "max_loss_growth"),
)
"""Parts of the trainer's configuration that do not distinguish two runs."""
RECORDED = "baselines"
"""Folder beside this file with recorded baseline runs; ``benchmarks/keep.py`` writes them."""


@dataclass(frozen=True)
class Baseline:
    """Figures of the student without a teacher, as ``metrics.json`` has them, and where they come from, in words."""

    student: Mapping[str, Any]
    source: str


def comparison(conf: DistillConf, faces: str, pairs: str, image_steps: int, begins_with: Mapping[str, str]) -> str:
    """Sixteen hex digits that two runs share if they differ in teacher and objective only.

    ``faces`` and ``pairs`` are the fingerprints of what is trained on and of what the student is scored on;
    ``begins_with`` identifies its first weights and centres, where they come from files. Options of speed and
    of logging do not count.
    """
    trainer = {key: value for key, value in asdict(conf.trainer).items() if key not in NOT_COMPARED}
    augment = switched_on(conf.data.augment)
    init = begins_with.get("student.init")
    parts = [conf.student.network, init, augment, trainer, faces, pairs, image_steps, conf.seed]
    if conf.replay.share is not None:
        parts.append(asdict(conf.replay))
    if "student.centres" in begins_with:
        parts.append(begins_with["student.centres"])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def switched_on(augment: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an augmentation without those of operations that are off, which change nothing.

    ``erase_max_share`` belongs to ``erase``, by its name; so an operation that is new leaves older figures comparable.
    """
    off = tuple(name for name, value in augment.items() if value == 0)
    return {name: value for name, value in augment.items() if not name.startswith(off)}


def find_baseline(runs: Path, metrics: Mapping[str, Any]) -> Baseline | None:
    """What a run of these ``metrics`` is compared with; None where it had no teacher itself or nothing is known."""
    if metrics.get("learned_from") is None:
        return None
    for source, found in _candidates(runs):
        if found.get("comparison") == metrics["comparison"] and found.get("learned_from") is None:
            return Baseline(found["student"], source)
    return None


def _candidates(runs: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Metrics of the user's own runs, then recorded ones; a broken file of another run is not this run's fault."""
    for path in sorted(runs.glob(f"*/{METRICS}")):
        with suppress(UserError):
            yield f"your run {path.parent}", read_json(path)
    for path in sorted(Path(str(resources.files("distill.runs") / RECORDED)).glob("*.json")):
        found = read_json(path)
        source = f"recorded {found['finished'][:10]} on {found['recorded_on']}"
        yield f"{source}, until you have your own baseline run", found
