"""The closing table of a night: what it was made of, what came of it and why, and where to look."""

from __future__ import annotations

from collections.abc import Iterator

from distill.format import duration, percent_cell
from distill.judge.judgement import Judgement
from distill.nightly.pages.lines import NightLine, line_of
from distill.nightly.pipeline import Records
from distill.nightly.results import JudgeResult, NightResults, PromoteResult, SetScores, TrainResult, VerifyResult
from distill.nightly.service_folder import Night
from distill.report.terminal import print_facts
from distill.shown import shown


def print_summary(night: Night, done: Records) -> None:
    """Print the table, the verdict with its reasons, and the report's path."""
    results, promote = NightResults.of(done), PromoteResult.of(done)
    seconds = {stage: record.seconds for stage, record in done.items()}
    line = line_of(night.number, promote.outcome, results, seconds)
    print_facts(f"night {night.number}", list(_rows(line, TrainResult.of(done), VerifyResult.of(done))))
    if promote.promoted:
        print(f"verdict   PROMOTED: {promote.version} is in service, {promote.before or 'nothing'} was before")
    else:
        print(f"verdict   REJECTED: {promote.before or 'nothing'} stays in service")
    for reason in _reasons(line, JudgeResult.of(done).judgement):
        print(f"  - {shown(reason)}")
    print(f"report    {shown(night.folder / 'report.html')}")


def _rows(line: NightLine, train: TrainResult, verify: VerifyResult) -> Iterator[tuple[str, str]]:
    yield "images", line.data_text[0]
    yield "people", line.data_text[1]
    yield "found", line.findings_text
    begun = f"warm start from {train.from_version}" if train.from_version else "from scratch"
    yield "student", f"{begun}, {train.image_steps:,} samples seen, {duration(train.seconds)}"
    champion = verify.champion or {}
    for name, score in verify.sets.items():
        served = f", champion {_auc(champion[name])}" if name in champion else ""
        yield f"AUC on {name}", f"{_auc(score)}{served}"
    yield "time", line.duration_text


def _auc(score: SetScores) -> str:
    return "-" if score.auc is None else percent_cell(score.auc)


def _reasons(line: NightLine, judgement: Judgement) -> Iterator[str]:
    """What speaks against the student; where nothing does, what decided for it."""
    against = [text for finding, text in line.reasons if finding == "fails"]
    yield from against or [r.text for r in judgement.reasons if r.kind in ("main", "floor")]
