"""Events of a night for W&B: made from the results of its stages, delivered through the outbox.

    run of W&B, in the group night-0007      artifact               made from
    night-0007-freeze                        data (facts)
    night-0007-signals                       signals (facts)        data
    night-0007-train                         student (ONNX file)    data, signals
    night-0007-report                        report (HTML page)     student
    night-0007-verdict                       alerts
    nights                                   figures of every night, over its number
    registry                                 student again, to move the aliases champion and previous

Facts are counts and hashes: names of people and of their files stay here. An artifact is named by its contents, so that
the same data, signals or student of another night are the same version.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import UserError
from distill.files.hashing import sha256
from distill.tracking.outbox import Outbox, OutboxEvent, deliver
from distill.tracking.wandb_settings import WandbSettings

if TYPE_CHECKING:  # made by the layer above; only attributes are read here
    from distill.nightly.results import NightResults, SetScores

CHAMPION, PREVIOUS, REJECTED = "champion", "previous", "rejected"
NIGHTS, REGISTRY, VERDICT = "nights", "registry", "verdict"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NightFiles:
    """Files of a finished night, below the folder of the service: what it made, and what the registry points at now.

    With ``champion`` every night reports the champion, so that W&B also shows a rollback.
    """

    student: Path | None = None
    previous: Path | None = None
    report: Path | None = None
    champion: Path | None = None


def mirror(root: Path, events: Iterable[OutboxEvent], settings: WandbSettings, timeout_s: float = 120.0) -> None:
    """Put the events into the outbox and deliver what waits there. Never raises: W&B decides nothing here."""
    if settings.mode == "disabled":
        return
    outbox = Outbox(root)
    try:
        for event in events:
            outbox.append(event)
    except (UserError, OSError) as error:
        _log.warning("W&B: gets no events of this night (%s)", error)
        return
    deliver(root, settings, timeout_s)


def night_events(
    root: Path, night: int, results: NightResults, seconds: Mapping[str, float], files: NightFiles
) -> Iterator[OutboxEvent]:
    """All events of a night with a verdict, in the order of its lineage."""
    freeze, signals, promote = results.freeze, results.signals, results.promote
    assert freeze is not None
    assert signals is not None
    assert promote is not None
    data = _content(freeze.data_sha256)
    facts = {"images": freeze.images, "people": freeze.people, "drops": freeze.drops}
    yield _facts(night, "freeze", "data", {**facts, "data_sha256": freeze.data_sha256}, data)
    facts = {"images_new": signals.images_new, "images_kept": signals.images_kept}
    yield _facts(night, "signals", "signals", {**facts, "data_sha256": freeze.data_sha256}, data, ["data"])
    if files.student is not None:
        yield _student(root, night, results, files.student, [f"data:{data}", f"signals:{data}"])
    if files.report is not None:
        uses = [] if files.student is None else [f"student:{_group(night)}"]
        yield _artifact("report", night, "report", _files(root, files.report), {}, uses, [_group(night)])
    champion = files.champion or (files.student if promote.promoted else None)
    if champion is not None:
        yield from pointer_events(root, _group(night), champion, files.previous)
    yield OutboxEvent.make("figures", NIGHTS, None, {"night": night, "values": figures(results, seconds)})
    if not promote.promoted:
        yield _rejection(night, results)


def pointer_events(root: Path, change: str, champion: Path, previous: Path | None) -> Iterator[OutboxEvent]:
    """The aliases of the registry after a night or a rollback; ``change`` names it: no two are one."""
    for alias, path in ((PREVIOUS, previous), (CHAMPION, champion)):
        if path is not None:
            yield _artifact(REGISTRY, None, "student", _files(root, path), {"change": change}, [], [alias])


def failure_event(night: int, stage: str) -> OutboxEvent:
    """An alert. The reason stays on this machine: it may name files, and files are named after people."""
    text = f"stage {stage} did not end; nights/{night:04d}/records/failed.json has the reason. The champion stays."
    return OutboxEvent.make("alert", VERDICT, night, {"title": f"night {night} failed", "text": text, "level": "ERROR"})


def figures(results: NightResults, seconds: Mapping[str, float]) -> dict[str, float]:
    """Numbers of a night by the names that ``distill.tracking.panels`` draws."""
    named: dict[str, float | None] = {f"seconds/{stage}": value for stage, value in seconds.items()}
    if (freeze := results.freeze) is not None:
        named |= {"data/images": freeze.images, "data/people": freeze.people}
        named |= {"data/new_images": freeze.new_images, "data/new_people": freeze.new_people}
    if (vet := results.vet) is not None:
        named |= {f"found/{key}": value for key, value in vet.facts().items() if isinstance(value, int)}
    if (check := results.check) is not None:
        named |= {"cost/flops": check.flops, "cost/bytes": check.bytes}
    if (verify := results.verify) is not None:
        for who, sets in (("challenger", verify.sets), (CHAMPION, verify.champion or {})):
            for name, scores in sets.items():
                named |= {f"score/{name}/{metric}/{who}": value for metric, value in _scores(scores)}
    named["promoted"] = int(results.promote is not None and results.promote.promoted)
    return {name: float(value) for name, value in named.items() if value is not None}


def _scores(scores: SetScores) -> Iterator[tuple[str, float | None]]:
    yield "accuracy", scores.accuracy_mean
    yield "auc", scores.auc
    for fpr, tpr in scores.tpr_at_fpr.items():
        yield f"tpr_at_fpr_{fpr}", tpr


def _student(root: Path, night: int, results: NightResults, student: Path, uses: list[str]) -> OutboxEvent:
    """The student with what is known of it; one that was rejected is kept as well, under that alias."""
    version = results.promote and results.promote.version
    aliases = [_group(night), REJECTED if version is None else f"registry-{version}"]
    parts = (results.train, results.parity, results.check, results.verify)
    facts = {part.STAGE: part.facts() for part in parts if part is not None}
    return _artifact("train", night, "student", _files(root, student), facts, uses, aliases)


def _rejection(night: int, results: NightResults) -> OutboxEvent:
    against = [] if results.judge is None else [reason.text for reason in results.judge.judgement.against]
    refused = "" if results.promote is None else results.promote.reason
    text = "; ".join(against) or refused or "the report has the reasons"
    title = f"night {night} rejected its student"
    return OutboxEvent.make("alert", VERDICT, night, {"title": title, "text": text, "level": "WARN"})


def _facts(
    night: int,
    run: str,
    name: str,
    facts: Mapping[str, Any],
    alias: str,
    made_from: Iterable[str] = (),
) -> OutboxEvent:
    """An artifact of facts without files; ``alias`` is that of its contents, and of what it was made from."""
    return _artifact(run, night, name, {}, facts, [f"{source}:{alias}" for source in made_from], [_group(night), alias])


def _artifact(
    run: str,
    night: int | None,
    name: str,
    files: Mapping[str, Any],
    facts: Mapping[str, Any],
    uses: list[str],
    aliases: list[str],
) -> OutboxEvent:
    kind = "model" if name == "student" else name
    body = {"name": name, "type": kind, "files": files, "facts": facts, "uses": uses, "aliases": aliases}
    return OutboxEvent.make("artifact", run, night, body)


def _files(root: Path, path: Path) -> dict[str, dict[str, str]]:
    """The file by its name in the artifact: where it lies below ``root``, and its bytes."""
    place = path.resolve().relative_to(root.resolve()).as_posix()
    return {path.name: {"path": place, "sha256": sha256(path)}}


def _content(data_sha256: str) -> str:
    """The alias of everything that follows from the same data."""
    return f"data-{data_sha256[:16]}"


def _group(night: int) -> str:
    return f"night-{night:04d}"
