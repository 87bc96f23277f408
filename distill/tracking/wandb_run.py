"""Weights & Biases: its failures never stop a training.

W&B may be absent, down, logged out or out of disk. The first failure is one warning line, and from then on this run
sends nothing more to W&B; the run folder (``series.jsonl``, ``metrics.json``) has every number anyway. Written for
wandb 0.31: an offline run that is resumed is a second fragment with the same id, joined by ``wandb sync``.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from distill.errors import UserError
from distill.files.atomic import replacing
from distill.files.utf8_path import utf8_path
from distill.redact import redact
from distill.shown import shown, shown_all
from distill.tracking.panels import STEP, summary_of
from distill.tracking.wandb_session import Shield, end_service, start
from distill.tracking.wandb_settings import WandbSettings

if TYPE_CHECKING:
    import wandb

ID_FILE = "wandb_id.txt"
_MAX_BINS = 512  # wandb.Histogram refuses more
_log = logging.getLogger(__name__)


class WandbRun:
    """One run of ours as one run of W&B, resumed by the id in the run folder; a sink."""

    def __init__(self, folder: Path, settings: WandbSettings, config: Mapping[str, Any]) -> None:
        self.folder = folder.resolve()
        self._settings, self._config = settings, shown_all(redact(config))
        self._open_folder = ExitStack()
        self._run: wandb.Run | None = None
        self._defined: set[str] = set()
        if settings.mode != "disabled":
            self._start()

    @property
    def alive(self) -> bool:
        """Whether W&B still takes values: not disabled, failed or finished."""
        return self._run is not None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Named numbers of an optimiser step; a step never goes back."""
        self._call(lambda run: self._write(run, step, values))

    def histogram(self, step: int, name: str, counts: Sequence[int], edges: Sequence[float]) -> None:
        """Counts [k] over bins with edges [k+1], as ``Histogram`` of ``distill.metrics`` has them; at most 512 bins."""
        assert len(edges) == len(counts) + 1 <= _MAX_BINS + 1, f"{len(counts)} counts, {len(edges)} edges"

        def write(run: wandb.Run) -> None:
            import wandb

            self._write(run, step, {name: wandb.Histogram(np_histogram=(np.asarray(counts), np.asarray(edges)))})

        self._call(write)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Results of the run: cost against limits, verdict, scores."""
        self._call(lambda run: run.summary.update(shown_all(redact(values))))

    def artifact(self, paths: Sequence[Path], name: str, metadata: Mapping[str, Any]) -> None:
        """Keep copies of the files as version of the W&B model ``name``; they travel with the next sync."""

        def write(run: wandb.Run) -> None:
            import wandb

            kept = shown_all(redact(metadata))
            artifact = wandb.Artifact(re.sub(r"[^\w.-]+", "-", name), type="model", metadata=kept)
            # Files are staged under this folder by absolute path; outside of the run folder a later sync loses them.
            with environment("WANDB_DATA_DIR", f"{self._place}/wandb"):
                for path in paths:
                    with utf8_path(path) as text:
                        artifact.add_file(text)
                run.log_artifact(artifact)

        self._call(write)

    def finish(self, exit_code: int = 0) -> None:
        """Close the run; uploads get ``FINISH_TIMEOUT_S``, and what is left stays on disk for ``wandb sync``."""
        self._call(lambda run: run.finish(exit_code=exit_code))
        self._run = None
        self._open_folder.close()

    def _write(self, run: wandb.Run, step: int, values: Mapping[str, Any]) -> None:
        for name in values.keys() - self._defined:
            run.define_metric(name, step_metric=STEP, summary=summary_of(name))
            self._defined.add(name)
        run.log({**values, STEP: step}, step=step)

    def _start(self) -> None:
        mode = self._settings.mode
        if mode == "online":
            failure = self._open("online")
            if failure is None:
                return
            end_service()
            _log.warning("W&B: stays offline (%s); `make dashboard` shows how to sync later", failure)
        failure = self._open("offline")
        if failure is not None:
            self._give_up(failure)

    def _open(self, mode: Literal["offline", "online"]) -> str | None:
        """Start the W&B run in that mode; returns why it failed, or None."""
        with Shield() as shield:
            place = writable(Path(self._settings.dir or self.folder).resolve() / "wandb").parent
            self._place = self._open_folder.enter_context(utf8_path(place))
            name = shown(redact(self._settings.name or self.folder.name))
            run = start(
                mode,
                self._settings,
                id=run_id(self.folder, self._settings.id),
                name=name,
                dir=self._place,
                group=shown_all(redact(self._settings.group)),
                job_type=shown_all(redact(self._settings.job_type)),
                config=dict(self._config),
            )
            self._run = run
            _log.info("W&B: %s run %s in %s", mode, run.id, run.url or os.path.relpath(place))
        return shield.failure

    def _call(self, action: Callable[[wandb.Run], object]) -> None:
        if self._run is None:
            return
        with Shield() as shield:
            action(self._run)
        if shield.failure is not None:
            self._give_up(shield.failure)

    def _give_up(self, failure: str) -> None:
        self._run = None
        end_service()
        _log.warning("W&B: off for the rest of this run (%s); the run folder keeps every number", failure)


def run_id(folder: Path, wanted: str | None = None) -> str:
    """The W&B id of the run folder, ``wanted`` or made up the first time. UserError for another one than it has."""
    path = folder / ID_FILE
    known = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    if known and wanted not in (None, known):
        raise UserError(f"tracking.id is {wanted} and {path} holds {known}; expected the same, or another run folder")
    if known:
        return known
    with replacing(path) as file:
        file.write(f"{wanted or secrets.token_hex(4)}\n".encode())
    return run_id(folder)


def writable(folder: Path) -> Path:
    """Make the folder. W&B itself would quietly turn to the system's temporary one."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} is not writable")
    return folder


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set a variable for a moment: one that stays would reach the next run of a Hydra multirun."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
