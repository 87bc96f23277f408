"""Record of a stage: one JSON file with its inputs, results and output hashes, written last."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.hashing import sha256, sha256_of
from distill.files.json_file import Misfit, build, read_plain

STAGES = (
    "freeze",
    "signals",
    "vet",
    "train",
    "export",
    "parity",
    "check",
    "verify",
    "judge",
    "promote",
    "report",
)
"""In the order in which they are done."""


FOLDER, FAILED = "records", "failed.json"


class DamagedRecord(Exception):
    """A record that is torn or was altered; the message names it and why."""


@dataclass(frozen=True)
class Record:
    """One finished stage.

    ``inputs`` name what decides its work, each by a sha256; ``outputs`` are its files, relative to the night's folder.
    ``result`` is plain JSON. ``started_at`` (ISO 8601, UTC) is for people: nothing is ordered by a clock.
    """

    stage: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    result: Mapping[str, Any]
    started_at: str
    seconds: float

    def hash(self) -> str:
        """Hex sha256 of the canonical JSON of all of it."""
        return sha256_of(asdict(self))

    def lacks(self, night: Path) -> str | None:
        """The first output that is missing or differs from what was recorded, in words; None where all are intact."""
        for name, left in self.outputs.items():
            if not (night / name).is_file():
                return f"{night / name} is missing"
            if sha256(night / name) != left:
                return f"{night / name} is not what the stage {self.stage} left"
        return None


def record_path(night: Path, stage: str) -> Path:
    """``records/03-train.json`` and so on: sorted by name they stand in order."""
    return night / FOLDER / f"{STAGES.index(stage):02d}-{stage}.json"


def write_record(night: Path, record: Record) -> None:
    """Write it atomically."""
    content = {**asdict(record), "sha256": record.hash()}
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_atomic(record_path(night, record.stage), text.encode())


def read_record(night: Path, stage: str) -> Record | None:
    """The record of a stage; None where there is none. Raises ``DamagedRecord`` where it is not what was written."""
    path = record_path(night, stage)
    try:
        content = read_plain(path, "the record of a stage")
    except FileNotFoundError:
        return None
    except UserError as error:
        raise DamagedRecord(f"{path}: is torn") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected a record that can be read") from error
    stated = content.pop("sha256", None) if isinstance(content, dict) else None
    try:
        record = build(Record, content)
    except Misfit as error:
        raise DamagedRecord(f"{path}: is no record of the stage {stage}: {error}") from None
    if record.stage != stage:
        raise DamagedRecord(f"{path}: is no record of the stage {stage}")
    if record.hash() != stated:
        raise DamagedRecord(f"{path}: is not the record that was written")
    return record


def read_records(night: Path) -> dict[str, Record]:
    """The records up to the first stage that has none, or a damaged one, by stage and in order."""
    found = {}
    for stage in STAGES:
        try:
            record = read_record(night, stage)
        except DamagedRecord:
            break
        if record is None:
            break
        found[stage] = record
    return found


def forget(night: Path, stages: Sequence[str]) -> None:
    """Remove the records of these stages, the last one first: whatever happens meanwhile, the rest are a beginning."""
    for stage in sorted(stages, key=STAGES.index, reverse=True):
        record_path(night, stage).unlink(missing_ok=True)


def note_failure(night: Path, stage: str, line: str, mistake: bool, trace: str = "") -> None:
    """``records/failed.json``: which stage did not end, and why; it is there until a later attempt has got further."""
    content = {"stage": stage, "error": line, "mistake": mistake, "trace": trace, "at": now()}
    write_atomic(night / FOLDER / FAILED, (json.dumps(content, indent=1) + "\n").encode())


def clear_failure(night: Path) -> None:
    """Remove the note: the night has got over it."""
    (night / FOLDER / FAILED).unlink(missing_ok=True)


def now() -> str:
    """The time as shown to users."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def to_the_minute(time: str) -> str:
    """A time of ``now`` as a page or a table shows it; UTC."""
    return time[:16].replace("T", " ")
