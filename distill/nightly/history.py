"""History of nightly runs, read from a service's folder: finished, failed, unfinished and damaged nights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distill.errors import UserError
from distill.files.json_file import read_plain
from distill.nightly.records import FAILED, FOLDER, STAGES, DamagedRecord, Record, read_record
from distill.nightly.results import PromoteResult
from distill.nightly.service_folder import REGISTRY, Night, nights

REPORT = "report.html"
CHAMPION = "champion"


@dataclass(frozen=True)
class NightSummary:
    """One night: its intact records by stage, the stages whose records are damaged, and the failure if it failed."""

    night: Night
    records: Mapping[str, Record]
    damaged: Sequence[str]
    failure: str | None

    @property
    def state(self) -> Literal["promoted", "rejected", "failed", "unfinished"]:
        """Outcome of the night; without an intact verdict it is failed if it left a failure note, else unfinished."""
        if PromoteResult.STAGE in self.records:
            return PromoteResult.of(self.records).outcome
        return "unfinished" if self.failure is None else "failed"

    @property
    def note(self) -> str:
        """Where a night without a verdict stands, and which records cannot be read."""
        parts = []
        if self.state == "failed":
            parts.append(self.failure or "")
        elif self.state == "unfinished":
            parts.append(f"done up to {self._last}" if self._last else "nothing is done yet")
        if self.damaged:
            parts.append(f"damaged: {', '.join(self.damaged)}")
        return "; ".join(parts)

    @property
    def report(self) -> Path | None:
        path = self.night.folder / REPORT
        return path if path.is_file() else None

    @property
    def started_at(self) -> str:
        """Start time in the record of its first stage."""
        return next((record.started_at for record in self.records.values()), "")

    @property
    def _last(self) -> str | None:
        return list(self.records)[-1] if self.records else None


def summaries(root: Path) -> list[NightSummary]:
    """Every night below ``root``, oldest first; reads only, and takes no lock."""
    return [_summary(night) for night in nights(root)]


def in_service(root: Path) -> str | None:
    """The version that the registry's champion leads to, whoever put it there; None where there is none."""
    champion = root / REGISTRY / CHAMPION
    return champion.resolve().name if champion.exists() else None


def _summary(night: Night) -> NightSummary:
    records: dict[str, Record] = {}
    damaged: list[str] = []
    for stage in STAGES:
        try:
            record = read_record(night.folder, stage)
        except DamagedRecord:
            damaged.append(stage)
            continue
        if record is not None:
            records[stage] = record
    return NightSummary(night, records, damaged, _failure(night.folder))


def _failure(night: Path) -> str | None:
    """Stage and reason of the note that a failed attempt left; a torn note is a failure as well."""
    path = night / FOLDER / FAILED
    try:
        note = read_plain(path, "the note of a night")
        return f"{note['stage']}: {note['error']}"
    except FileNotFoundError:
        return None
    except (UserError, KeyError, TypeError):
        return f"{FAILED} is damaged"
