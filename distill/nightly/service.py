"""One night of a service: is there work, run the stages, report the outcome."""

from __future__ import annotations

import errno
import sys
import traceback
from contextlib import suppress
from enum import Enum
from importlib import import_module
from pathlib import Path

from distill.config.service_jobs import NightlyConf
from distill.errors import UserError
from distill.nightly.freeze import freeze
from distill.nightly.manifest import MANIFEST, DataManifest, read_manifest
from distill.nightly.pages.closing_table import print_summary
from distill.nightly.pipeline import StageFailed, perform
from distill.nightly.records import FAILED, FOLDER, Record, note_failure, read_records
from distill.nightly.results import FreezeResult, PromoteResult
from distill.nightly.service_folder import NIGHTS, SIGNALS, Night, last_finished, open_registry, unfinished
from distill.nightly.task import NightNetworks, Task, decides
from distill.redact import redact_text

MOST_NIGHTS = 2
"""In one start: the night that an earlier one began, and what has arrived since."""
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""Errors of the machine, which another start may find mended; every other OSError is about a name that was given."""


def work_through(conf: NightlyConf) -> Outcome:
    """Finish the night that was begun, then make one of new data; the outcome of the last one. The caller has the lock.

    No network is opened before there is work: a night without new data ends at once.
    """
    root = Path(conf.root)
    _clear_partial(root)
    _require_intact_champion(conf)
    networks = NightNetworks(conf)
    outcome, decided_by = _left_to_report(conf, networks), decides(conf, networks)
    for _ in range(MOST_NIGHTS):
        if (task := _task(conf, decided_by, networks)) is None:
            break
        outcome = _work(task)
    if outcome is Outcome.NOTHING:
        last = last_finished(root)
        why = f"no pictures in {conf.drops} yet" if last is None else f"nothing has changed since night {last.number}"
        print(f"nothing to do: {why}")
    return outcome


def _require_intact_champion(conf: NightlyConf) -> None:
    """Verify the champion's files every night, also without new data: it may be the only check that they get."""
    champion = open_registry(Path(conf.root), conf.signing).champion()
    if champion is None:
        return
    try:
        champion.verified()
    except UserError as error:
        raise UserError(
            f"{error}. The champion is not to be trusted: put that file back, or the version before into service: "
            f"make rollback root={conf.root}"
        ) from error


def _task(conf: NightlyConf, decided_by: str, networks: NightNetworks) -> Task | None:
    """The unfinished night, else a new one if anything has changed; None: neither."""
    root = Path(conf.root)
    last, begun = last_finished(root), unfinished(root)
    before = None if last is None else read_manifest(last.folder)
    now = freeze(Path(conf.drops), before, _Reading(conf.drops), _report)
    if begun is not None:
        return Task(conf, begun, _kept(begun, now), decided_by, networks)
    frozen = None if last is None else last.record("freeze")
    same = frozen is not None and _already(frozen, now, decided_by)
    if same or not len(now):
        return None
    return Task(conf, Night(root, 1) if last is None else last.after(), now, decided_by, networks)


class _Reading:
    """Prints once that pictures are being read, which may take minutes; nothing if none are new."""

    def __init__(self, drops: str) -> None:
        self._line: str | None = f"reading what is new in {drops}"

    def __call__(self, images: int) -> None:
        if self._line is not None and images:
            print(self._line, flush=True)
            self._line = None


def _already(frozen: Record, now: DataManifest, decided_by: str) -> bool:
    """Whether a night had exactly these data and options."""
    data_sha256 = FreezeResult.read(frozen.result).data_sha256
    return data_sha256 == now.data_sha256() and frozen.inputs["decided_by"] == decided_by


def _kept(night: Night, now: DataManifest) -> DataManifest:
    """Data of an unfinished night: what it froze, as long as that still exists and the night did not fail.

    Otherwise a night that was killed again and again would never end where drops keep coming, and one that cannot
    succeed would never see what mends it.
    """
    if not (night.folder / MANIFEST).exists() or (night.folder / FOLDER / FAILED).exists():
        return now
    try:
        frozen = read_manifest(night.folder)
    except UserError:
        return now  # torn: it is frozen again
    there = {drop.drop: drop for drop in now.drops}
    unchanged = frozen.place == now.place and all(
        drop.drop in there
        and there[drop.drop].names == drop.names
        and there[drop.drop].fingerprint() == drop.fingerprint()
        for drop in frozen.drops
    )
    return frozen if unchanged else now


def _work(task: Task) -> Outcome:
    """Run the missing stages of a night and report the outcome."""
    night = task.night
    data = task.manifest.summary()
    print(f"night {night.number}: {data.images:,} images of {data.people:,} people, {data.new_images:,} new")
    night.folder.mkdir(parents=True, exist_ok=True)
    stages = import_module("distill.nightly.stages.plan")
    try:
        records = perform(night.folder, stages.stages(task), _report)
    except StageFailed as failed:
        return _failed(task, failed)
    print_summary(night, records)
    return _outcome(records)


def _left_to_report(conf: NightlyConf, networks: NightNetworks) -> Outcome:
    """A night that was killed between verdict and report: write the report, and print the verdict again."""
    night = last_finished(Path(conf.root))
    if night is None or night.record("report") is not None:
        return Outcome.NOTHING
    print(f"night {night.number}: its report is missing")
    task = Task(conf, night, read_manifest(night.folder), "", networks)
    stages = import_module("distill.nightly.stages.plan")
    try:
        records = perform(night.folder, stages.stages(task)[-1:], _report, read_records(night.folder))
    except StageFailed as failed:
        return _failed(task, failed)
    print_summary(night, records)
    return _outcome(records)


def _outcome(records: dict[str, Record]) -> Outcome:
    return Outcome.PROMOTED if PromoteResult.of(records).promoted else Outcome.REJECTED


def _failed(task: Task, failed: StageFailed) -> Outcome:
    """Record why a stage failed and print it in one line; running again resumes."""
    cause = failed.__cause__
    assert isinstance(cause, Exception)
    mistake = isinstance(cause, UserError | OSError) and not _passing(cause)
    line = redact_text(" ".join(str(cause).split()) or type(cause).__name__)
    trace = "" if mistake or isinstance(cause, UserError) else redact_text("".join(traceback.format_exception(cause)))
    with suppress(UserError):  # where the disk is full, this line on the terminal has to be enough
        note_failure(task.night.folder, failed.stage, line, mistake, trace)
    import_module("distill.nightly.stages.promotion").report_failure(task, failed.stage)
    if mistake:
        raise cause
    note = task.night.folder / FOLDER / FAILED
    text = line if isinstance(cause, UserError) else f"{type(cause).__name__}: {line}"
    print(
        f"failed: night {task.night.number}, stage {failed.stage}: {text} ({note}); run it again to resume",
        file=sys.stderr,
    )
    return Outcome.FAILED


def _passing(cause: BaseException | None) -> bool:
    """Whether the machine was in the way, a full disk for one, so that the same start may succeed later."""
    while cause is not None and not (isinstance(cause, OSError) and cause.errno in _PASSING):
        cause = cause.__cause__
    return cause is not None


def _report(line: str) -> None:
    """Unbuffered, so that the log of a killed night shows how far it was."""
    print(line, flush=True)


def _clear_partial(root: Path) -> None:
    """Remove leftovers of killed writes; the lock is ours, so no other process is writing."""
    for folder in (root / NIGHTS, root / SIGNALS):
        for path in folder.rglob("*.partial") if folder.is_dir() else ():
            path.unlink(missing_ok=True)


class Outcome(Enum):
    """Each outcome has an exit status of its own; 2, a user's mistake, and 130, interrupted, are the command line's."""

    NOTHING = 0
    """Neither the data nor what decides the student has changed since the last night."""
    FAILED = 1
    PROMOTED = 10
    REJECTED = 20
    BUSY = 75
    """Another night is running: EX_TEMPFAIL of sysexits.h, so that a scheduler may try again later."""

    @property
    def status(self) -> int:
        return self.value
