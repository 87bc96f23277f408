"""One run, one folder: found by the same command, locked while in use, finished once ``metrics.json`` is there."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distill.config.compose import config_yaml
from distill.config.idle import counted
from distill.errors import UserError
from distill.files.atomic import write_json, write_text
from distill.files.durable import point
from distill.files.json_file import read_json
from distill.files.lock import Held, leave_note, open_locked
from distill.tracking.wandb_run import WandbRun
from distill.tracking.wandb_settings import WandbSettings

CONFIG, METRICS, SERIES = "config.yaml", "metrics.json", "series.jsonl"
STUDENT_WEIGHTS, STUDENT_ONNX = "student.safetensors", "student.onnx"
LATEST = "latest"
NOT_COMPARED = ("protocol.flip", "protocol.fusion", "protocol.published")
"""Parts of a configuration that a run does not read, besides its idle options."""
ABSENT = object()
"""Stands for the value of an option that a configuration does not have."""


@dataclass(frozen=True)
class RunFolder:
    """The files of a run."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def lock(self) -> Path:
        """What the process that works here holds."""
        return self.path / ".lock"

    @property
    def finished(self) -> bool:
        return (self.path / METRICS).exists()

    def file(self, name: str) -> Path:
        return self.path / name

    def metrics(self) -> dict[str, Any]:
        """What the finished run wrote."""
        return read_json(self.path / METRICS)

    def finish(self, metrics: dict[str, Any]) -> None:
        """Write the metrics, which marks the run as finished."""
        write_json(self.path / METRICS, metrics)

    def point_latest(self) -> None:
        """Make ``latest`` beside this folder a link to it, in one rename."""
        root = self.path.parent
        point(root / LATEST, self.path.name, root / f".{LATEST}.{os.getpid()}")  # other runs may end at this moment


@contextmanager
def open_run(root: Path, name: str, fresh: bool, conf: Any, ignored: Sequence[str] = ()) -> Iterator[RunFolder]:
    """The folder ``root/name``, made or found again and locked; with ``fresh`` that of ``fresh_name``.

    Raises UserError where it cannot be written, another process works in it, or it is that of another configuration;
    the options in ``ignored`` may differ.
    """
    path = root / (fresh_name(root, name) if fresh else name)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open_locked(RunFolder(path).lock)
    except OSError as error:
        raise UserError(
            f"cannot write to the run folder {path}: {error.strerror}; expected a writable folder: "
            "run.root=DIR names another"
        ) from error
    except Held as error:
        raise UserError(
            f"the run {path} is locked by process {error.note or 'unknown'}; wait for it, or give run.fresh=true"
        ) from None
    with lock:
        leave_note(lock, str(os.getpid()))
        folder = RunFolder(path)
        if not folder.file(CONFIG).exists():
            write_text(folder.file(CONFIG), config_yaml(conf))
        _require_same(folder.file(CONFIG), conf, ignored)
        yield folder


def fresh_name(root: Path, name: str, end: str = "") -> str:
    """``name`` where there is no such folder, else the first of ``name-2``, ... whose run is not finished.

    ``end`` is added to the name of the run that has to be unfinished.
    """
    if not (root / name).exists():
        return name
    number = 2
    while (root / f"{name}-{number}{end}" / METRICS).exists():
        number += 1
    return f"{name}-{number}"


def _require_same(stored: Path, conf: Any, ignored: Sequence[str]) -> None:
    """A ``run.name`` that is given again must mean the same run: what decides the weights may not have changed."""
    for key, (old, new) in differences(stored, conf, ignored).items():
        raise UserError(
            f"{stored} has {key}: {_shown(old)}, and this command {_shown(new)}; expected the same "
            "configuration: give another run.name, or run.fresh=true"
        )


def differences(stored: Path, conf: Any, also_ignored: Sequence[str] = ()) -> dict[str, tuple[Any, Any]]:
    """The options that decide a run and differ, sorted, with the stored value and that of ``conf``."""
    texts = (stored.read_text(encoding="utf-8", errors="surrogateescape"), config_yaml(conf))
    ignored = (*NOT_COMPARED, *also_ignored)
    old, new = (_flat(counted(yaml.safe_load(text), conf, *ignored)) for text in texts)
    both = {key: (old.get(key, ABSENT), new.get(key, ABSENT)) for key in sorted(old.keys() | new.keys())}
    return {key: values for key, values in both.items() if values[0] != values[1]}


def _shown(value: Any) -> Any:
    return "nothing" if value is ABSENT else value


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for key, value in tree.items() for k, v in _flat(value, f"{prefix}.{key}" if prefix else key).items()}


@contextmanager
def tracked(folder: RunFolder, tracking: WandbSettings, conf: Any) -> Iterator[WandbRun]:
    """Open the W&B run, and close it with the status that the work inside ended with."""
    run = WandbRun(folder.path, tracking, dataclasses.asdict(conf))
    try:
        yield run
    except BaseException:
        run.finish(1)
        raise
    run.finish(0)
