"""One run, one folder: found by the same command, locked while in use, finished once ``metrics.json`` is there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from distill.atomic import write_atomic
from distill.file_kinds import EMPTY, TEXTS
from distill.foreign import refuse_foreign
from distill.jobs.compose import config_yaml
from distill.types import UserError

CONFIG, METRICS, SERIES = "config.yaml", "metrics.json", "series.jsonl"
STUDENT_WEIGHTS, STUDENT_ONNX = "student.safetensors", "student.onnx"
LATEST = "latest"
NOT_COMPARED = ("run", "tracking", "protocol.flip", "protocol.fusion", "protocol.published")
"""Parts of a configuration that do not change what comes out."""
_NOT_COMPARED = tuple(f"{part}." for part in NOT_COMPARED)


@dataclass(frozen=True)
class RunFolder:
    """The files of a run."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.ckpt"

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
        link, partial = self.path.parent / LATEST, self.path.parent / f".{LATEST}.{os.getpid()}"
        partial.unlink(missing_ok=True)
        partial.symlink_to(self.path.name)
        os.replace(partial, link)


@contextmanager
def open_run(root: Path, name: str, fresh: bool, conf: Any) -> Iterator[RunFolder]:
    """The folder ``root/name``, made or found again and locked; with ``fresh`` the first unfinished ``name-2``, ...

    Raises UserError where it cannot be written, another process works in it, or it is that of another configuration.
    """
    path = root / name
    if fresh and path.exists():
        number = 2
        while (root / f"{name}-{number}" / METRICS).exists():
            number += 1
        path = root / f"{name}-{number}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("a+")
    except OSError as error:
        raise UserError(
            f"cannot write to the run folder {path}: {error.strerror}; expected a writable folder: "
            "run.root=DIR names another"
        ) from error
    with lock:
        _hold(lock, path)
        folder = RunFolder(path)
        text = config_yaml(conf)
        if not folder.file(CONFIG).exists():
            write_text(folder.file(CONFIG), text)
        _require_same(folder.file(CONFIG), text)
        yield folder


def _hold(lock: IO[str], path: Path) -> None:
    """Take the lock or say who has it; the kernel frees it when its process dies, however it dies."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise UserError(
            f"the run {path} is being worked on by process {lock.read().strip() or 'unknown'}; "
            "wait for it, or give run.fresh=true"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def _require_same(stored: Path, text: str) -> None:
    """A ``run.name`` that is given again must mean the same run: what decides the weights may not have changed."""
    old, new = (_flat(yaml.safe_load(t)) for t in (stored.read_text(encoding="utf-8"), text))
    for key in sorted(old.keys() | new.keys()):
        if not f"{key}.".startswith(_NOT_COMPARED) and old.get(key) != new.get(key):
            raise UserError(
                f"{stored} has {key}: {old.get(key)}, and this command {new.get(key)}; expected the same "
                "configuration: give another run.name, or run.fresh=true"
            )


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for key, value in tree.items() for k, v in _flat(value, f"{prefix}.{key}" if prefix else key).items()}


def write_text(path: Path, text: str) -> None:
    write_atomic(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        refuse_foreign(path, "JSON that this project wrote", *TEXTS, EMPTY)
        raise UserError(f"{path} cannot be read: {error}; expected JSON that this project wrote") from error
