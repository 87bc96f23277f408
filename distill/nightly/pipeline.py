"""The stages of a night, one after the other: each is done once, and again only where something before it changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from distill.files.hashing import sha256
from distill.nightly.records import STAGES, DamagedRecord, Record, clear_failure, forget, now, read_record, write_record

Records = Mapping[str, Record]
"""The finished stages of a night so far."""
NONE: Records = MappingProxyType({})
BEFORE = "before"
"""The input that every stage but the first has: the hash of the record before it."""


class StageFailed(Exception):
    """A stage did not end; ``__cause__`` is why."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


class Result(Protocol):
    """What can stand in a record."""

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Done:
    """What a stage's work comes to: its result, and its files, which may also lie beside the nights."""

    result: Result
    outputs: Sequence[Path] = field(default=())


@dataclass(frozen=True)
class Stage:
    """``inputs`` names by hash what decides the work beyond the stage before; ``work`` does it and may be killed."""

    name: str
    inputs: Callable[[Records], Mapping[str, str]]
    work: Callable[[Records], Done]


def perform(
    night: Path, stages: Sequence[Stage], report: Callable[[str], None], before: Records = NONE
) -> dict[str, Record]:
    """Do what is missing of ``stages`` in the folder ``night``; the records of all of them, after those ``before``.

    A stage is up to date if its record is intact, its inputs are unchanged and its files have the recorded bytes;
    otherwise it and all later ones are done again. Raises ``StageFailed`` from what ended a stage.
    """
    done = dict(before)
    for stage in stages:
        try:
            inputs = {**_before(done), **stage.inputs(done)}
            record, why = _standing(night, stage.name, inputs)
            if record is None:
                record = _do(night, stage, inputs, done, report, why)
        except Exception as error:  # of any kind: the caller writes it beside the records and reports it
            raise StageFailed(stage.name) from error
        done[stage.name] = record
    return done


def _before(done: Records) -> dict[str, str]:
    return {BEFORE: list(done.values())[-1].hash()} if done else {}


def _standing(night: Path, stage: str, inputs: Mapping[str, str]) -> tuple[Record | None, str | None]:
    """The record of a stage that need not be done again; else None, and why not where it had been done."""
    try:
        record = read_record(night, stage)
    except DamagedRecord as error:
        return None, str(error)
    if record is None:
        return None, None
    if record.inputs != inputs:
        changed = sorted(k for k in record.inputs.keys() | inputs.keys() if record.inputs.get(k) != inputs.get(k))
        return None, None if changed == [BEFORE] else f"another {changed[0]}"
    lack = record.lacks(night)
    return (record, None) if lack is None else (None, lack)


def _do(
    night: Path, stage: Stage, inputs: Mapping[str, str], done: Records, report: Callable[[str], None], why: str | None
) -> Record:
    """Do one stage and leave its record; what later stages left is forgotten first."""
    number = STAGES.index(stage.name)
    report(f"stage {number + 1:2} of {len(STAGES)}  {stage.name}{f', again: {why}' if why else ''}")
    forget(night, STAGES[number:])
    started_at, begun_s = now(), time.monotonic()
    finished = stage.work(done)
    record = Record(
        stage=stage.name,
        inputs=inputs,
        outputs={os.path.relpath(path, night): sha256(path) for path in finished.outputs},
        result=finished.result.to_json(),
        started_at=started_at,
        seconds=round(time.monotonic() - begun_s, 3),
    )
    write_record(night, record)
    clear_failure(night)
    return record
