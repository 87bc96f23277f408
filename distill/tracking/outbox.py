"""Outbox: events that wait for delivery to W&B, one JSON file each, in order.

Appending needs no network and no W&B; a delivery is another process with a limit to its time. An event is removed
after W&B has taken it, so one that a crash cut off is delivered again: ``distill.tracking.outbox_delivery`` is
idempotent.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import distill
from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.durable import rename_synced
from distill.files.json_file import Misfit, build, read_plain
from distill.redact import redact
from distill.tracking.wandb_settings import WandbSettings

FOLDER, REFUSED = "outbox", "refused"
Kind = Literal["figures", "artifact", "alert"]
_NAME = re.compile(r"(\d{8})-[0-9a-f]{16}\.json")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutboxEvent:
    """One event for W&B, as plain JSON without secrets; ``make`` makes one.

    ``run`` names the W&B run that it belongs to, ``night`` its group; what each kind's ``body`` holds is documented in
    ``night_events``. An event that may come again and mean something new has to hold a number that counts.
    """

    kind: Kind
    run: str
    night: int | None
    body: Mapping[str, Any]

    @classmethod
    def make(cls, kind: Kind, run: str, night: int | None, body: Mapping[str, Any]) -> OutboxEvent:
        """An event whose body holds no secrets (``distill.redact``)."""
        return cls(kind, run, night, redact(body))

    def hash(self) -> str:
        """Hex sha256 of its canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


class DamagedEvent(Exception):
    """A file in the outbox that is not the event that was written."""


class Outbox:
    """The events below ``root``, the folder of the service."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / FOLDER

    def append(self, event: OutboxEvent) -> Path:
        """Keep the event behind all others; one that still waits is kept once. Raises UserError on a full disk."""
        digest = event.hash()
        waiting = self.pending()
        for path in waiting:
            if path.stem.endswith(digest[:16]):
                return path
        number = int(waiting[-1].name[:8]) + 1 if waiting else 1
        path = self.folder / f"{number:08d}-{digest[:16]}.json"
        write_atomic(path, (json.dumps({**asdict(event), "sha256": digest}, indent=1) + "\n").encode())
        return path

    def pending(self) -> list[Path]:
        """The files of events that wait, in order."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(path for path in found if _NAME.fullmatch(path.name))

    def refuse(self, path: Path) -> None:
        """Move an undeliverable event aside, so that it does not block later ones."""
        aside = self.folder / REFUSED
        aside.mkdir(exist_ok=True)
        rename_synced(path, aside / path.name)


def read_event(path: Path) -> OutboxEvent:
    """The event in a file of the outbox. Raises ``DamagedEvent``."""
    try:
        content = read_plain(path, "an event")
        stated = content.pop("sha256")
        event = build(OutboxEvent, content)
    except (UserError, Misfit, KeyError, TypeError, AttributeError) as error:
        raise DamagedEvent(f"{path} is torn") from error
    if event.hash() != stated:
        raise DamagedEvent(f"{path} is not the event that was written")
    return event


def deliver(root: Path, settings: WandbSettings, timeout_s: float = 120.0) -> bool:
    """Deliver all events below ``root`` to W&B, in another process and within ``timeout_s``; whether none is left.

    W&B absent, away, slow or full costs one warning line and leaves the events where they are. Nothing is raised.
    """
    outbox = Outbox(root)
    if settings.mode == "disabled" or not outbox.pending():
        return not outbox.pending()
    failure = _deliver_apart(root, settings, timeout_s)
    left = len(outbox.pending())
    if failure or left:
        _log.warning("W&B: %d events wait in %s (%s); the next delivery sends them", left, outbox.folder, failure)
    return not left


def _deliver_apart(root: Path, settings: WandbSettings, timeout_s: float) -> str:
    """Run ``outbox_delivery``; its last line, the reason why it stopped, or "" if all was delivered."""
    command = [
        sys.executable,
        "-m",
        "distill.tracking.outbox_delivery",
        str(root),
        json.dumps(asdict(settings)),
    ]
    here = str(Path(distill.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return f"not done within {timeout_s:g} s"
    except OSError as error:
        return f"no process for it: {error.strerror}"
    last = (done.stdout.strip().splitlines() or [""])[-1]
    return last or ("" if done.returncode == 0 else f"its process ended with status {done.returncode}")
