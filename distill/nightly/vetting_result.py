"""What vetting found in the data of a night: which pictures lose their labels, and every finding in a sentence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.nightly.manifest import Manifest
from distill.nightly.results import Finding, Kind, VetResult

FORMAT = 1
VERDICTS = "vetting.json"
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


def read_verdicts(folder: Path, manifest: Manifest) -> Verdicts:
    """The verdicts of a night's folder on just these data; ``UserError`` where there are none, or none to be used."""
    path = folder / VERDICTS
    try:
        raw = json.loads(path.read_text("utf-8"))
        findings = [_finding(one) for one in raw["findings"]]
        verdicts = Verdicts(raw["data_sha256"], _names(raw["unlabelled"]), findings)
    except FileNotFoundError:
        raise UserError(f"{folder} holds no {VERDICTS}; expected a night whose data have been vetted") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}); expected what `make nightly` wrote") from error
    if (found := manifest.data_sha256()) != verdicts.data_sha256:
        raise UserError(
            f"{path} is of other data: data_sha256 {verdicts.data_sha256[:12]}... there and {found[:12]}... in the "
            "manifest beside it; expected the same: run the night's stage `vet` again"
        )
    return verdicts


def _finding(raw: Mapping[str, Any]) -> Finding:
    finding = Finding(**raw)
    if finding.kind not in get_args(Kind):
        raise ValueError(f"a finding is of the kind {finding.kind!r}")
    return finding


def _names(raw: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {str(drop): [str(name) for name in names] for drop, names in raw.items()}
