"""What happened to a registry, a JSON line for each event; whatever is torn off is written again.

The folders of versions and pointers hold the same facts, so this file is an ordered copy: it is never ahead of them,
and lines lost in a crash or to a full disk are derived from them again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from distill.files.durable import sync_folder
from distill.files.json_file import Misfit, build
from distill.redact import redact

_log = logging.getLogger(__name__)


class EventKind(StrEnum):
    add = "add"
    promote = "promote"
    rollback = "rollback"
    prune = "prune"


@dataclass(frozen=True)
class RegistryEvent:
    """One thing that happened to ``version``, at ``at`` (ISO 8601, UTC, by the clock of then).

    ``state`` counts the changes of the pointers, by promotion or rollback; ``before`` was the champion until then.
    """

    kind: EventKind
    version: str
    at: str
    state: int | None = None
    before: str | None = None
    why: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Two events with the same key are one: a pointer changes to a state once, a version comes and goes once."""
        return f"{self.kind} {self.version}" if self.state is None else f"state {self.state}"

    def to_json(self) -> str:
        facts = {key: value for key, value in redact(asdict(self)).items() if value not in (None, {})}
        return json.dumps({"event": facts.pop("kind"), **facts}, allow_nan=False)


def event_from_json(text: str | bytes) -> RegistryEvent:
    """The event of a line; ValueError where it is none."""
    try:
        raw = json.loads(text)
        return build(RegistryEvent, {"kind": EventKind(raw.pop("event")), **raw})
    except (TypeError, KeyError, AttributeError, Misfit) as error:
        raise ValueError(f"is no event: {error}") from error


def read_events(path: Path) -> list[RegistryEvent]:
    """The events in the file, oldest first. A line without end is left out, and a damaged one is reported."""
    events = []
    for number, line in enumerate(_whole(_contents(path)).splitlines(), 1):
        try:
            events.append(event_from_json(line))
        except ValueError as error:
            _log.warning("%s, line %d: %s; left out, what the folders know of it is written again", path, number, error)
    return events


def append_events(path: Path, events: Sequence[RegistryEvent]) -> None:
    """Append the events after the last complete line; if that fails, the file is as it was. OSError."""
    if not events:
        return
    end = len(_whole(_contents(path)))
    data = "".join(f"{event.to_json()}\n" for event in events).encode()
    with path.open("ab", buffering=0) as file:  # a buffer would try again when the file is closed
        file.truncate(end)
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
    sync_folder(path.parent)


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _whole(data: bytes) -> bytes:
    """Without a last line that lacks its end: an interrupted write."""
    return data[: data.rfind(b"\n") + 1]
