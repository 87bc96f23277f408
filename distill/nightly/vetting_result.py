"""What vetting found in the data of a night: which pictures lose their labels, and every finding in a sentence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.json_file import from_plain, read_json
from distill.nightly.manifest import DataManifest
from distill.nightly.results import Finding, VetResult

FORMAT = 1
VERDICTS = "vetting.json"
WROTE = "what `make nightly` wrote"
MOST_RECORDED = 200
"""Findings that a night's record holds; the file holds them all."""


@dataclass(frozen=True)
class Verdicts:
    """Of one manifest. ``unlabelled`` names by drop the pictures whose labels are not used, those that earlier nights
    doubted among them; ``findings`` are of this night's drops only."""

    data_sha256: str
    unlabelled: Mapping[str, Sequence[str]]
    findings: Sequence[Finding]

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    def summary(self) -> VetResult:
        """Counts and first findings for the night's record."""
        counts = Counter(finding.kind for finding in self.findings)
        return VetResult(
            damaged=counts["damaged"],
            duplicates=counts["duplicate"] + counts["contradiction"],
            doubtful_labels=counts["doubtful_label"],
            split_people=counts["split_person"],
            unlabelled=sum(map(len, self.unlabelled.values())),
            findings=self.findings[:MOST_RECORDED],
        )


def write_verdicts(folder: Path, verdicts: Verdicts) -> None:
    write_atomic(folder / VERDICTS, verdicts.to_json().encode())


def read_verdicts(folder: Path, manifest: DataManifest) -> Verdicts:
    """The verdicts of a night's folder on just these data; ``UserError`` where there are none, or none to be used."""
    path = folder / VERDICTS
    raw = read_json(path, WROTE, f"{folder} holds no {VERDICTS}; expected a night whose data have been vetted")
    if isinstance(raw, dict):
        raw.pop("format", None)
    verdicts = from_plain(Verdicts, raw, path, WROTE)
    if (found := manifest.data_sha256()) != verdicts.data_sha256:
        raise UserError(
            f"{path} is of other data: data_sha256 {verdicts.data_sha256[:12]}... there and {found[:12]}... in the "
            "manifest beside it; expected the same: run the night's stage `vet` again"
        )
    return verdicts
