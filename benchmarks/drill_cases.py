"""The faults of the drill: killed, without power, out of space, lied to, started twice, out of time, cut off."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from drill_faults import LostRename, at_record, before_rename
from drill_service import Ended, Service, picture
from drill_trials import BASE, PROMOTED, Drill

from distill.nightly.records import STAGES, record_path

BUSY = 75


def kills(drill: Drill, arguments: argparse.Namespace) -> None:
    """``kill -9`` where every stage ends, before and after its record, and at random moments."""
    tally = drill.tally("kill -9 before a stage's record")
    for stage in STAGES:
        drill.trial(tally, lambda stage=stage: drill.service.run(hook=at_record(stage, False)))
    tally = drill.tally("kill -9 after a stage's record")
    for stage in STAGES:
        drill.trial(tally, lambda stage=stage: drill.service.run(hook=at_record(stage, True)))
    tally = drill.tally("kill -9 at a random moment")
    dice = random.Random(arguments.seed)
    for _ in range(arguments.random):
        drill.trial(tally, lambda: _killed_after(drill, dice.uniform(0, drill.night_s)))


def _killed_after(drill: Drill, seconds: float) -> Ended:
    process = drill.service.start()
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return drill.service.wait(process)


def power(drill: Drill, arguments: argparse.Namespace) -> None:
    """Power lost around renames."""
    chosen = sorted({1 + round(k * (drill.renames - 2) / (arguments.renames - 1)) for k in range(arguments.renames)})
    tally = drill.tally("power lost before a rename")
    for number in chosen:
        drill.trial(tally, lambda number=number: drill.service.run(hook=before_rename(number)))
    tally = drill.tally("power lost, a rename lost and the next one not")
    for number in chosen:
        drill.trial(tally, lambda number=number: drill.service.run(hook=LostRename(number)))


def disk(drill: Drill, arguments: argparse.Namespace) -> None:
    """A disk that is full at every step of the night."""
    tally, root = drill.tally("disk full (tmpfs)"), drill.service.root
    if os.geteuid():
        tally.fault += ", left out: only root mounts one"
        return
    growth = _size(root) - _size(drill.service.folder / BASE)
    shutil.rmtree(root)
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={256 << 20}", "drill", str(root)], check=True)
    try:
        for step in range(arguments.disk):
            drill.trial(tally, lambda step=step: _on_full_disk(drill, growth * step // arguments.disk))
    finally:
        subprocess.run(["umount", str(root)], check=True)


def _on_full_disk(drill: Drill, free_bytes: int) -> Ended:
    """A start with ``free_bytes`` left where the service lies; there is space again afterwards."""
    ballast, disk = drill.service.root / "ballast", os.statvfs(drill.service.root)
    ballast.write_bytes(b"\0" * max(disk.f_bavail * disk.f_bsize - free_bytes, 0))
    ended = drill.service.run()
    ballast.unlink()
    return ended


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def two_starts(drill: Drill, arguments: argparse.Namespace) -> None:
    """Two starts at once: one does the night, the other says so and leaves."""
    tally = drill.tally("two starts at once")

    def both() -> Ended:
        processes = [drill.service.start() for _ in range(2)]
        ended = [drill.service.wait(process) for process in processes]
        if sorted(e.status for e in ended) != [PROMOTED, BUSY]:
            tally.wrong.append(f"two starts ended with {[(e.status, e.out, e.err) for e in ended]}")
        return next((e for e in ended if e.status == BUSY), ended[0])

    for _ in range(arguments.starts):
        drill.trial(tally, both)


def clock(drill: Drill, arguments: argparse.Namespace) -> None:
    """A clock that jumps: the night is killed two years from now, and goes on eleven years ago."""
    library = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    tally = drill.tally(
        "clock jumps back thirteen years, killed in between" + ("" if library else ", left out: no libfaketime")
    )
    for stage in ("freeze", "train", "judge") if library else ():
        drill.trial(tally, lambda stage=stage: _through_time(drill, stage, library or ""))


def _through_time(drill: Drill, stage: str, library: str) -> Ended:
    """Both starts are processes of their own from the beginning, which the library is loaded into."""
    hook = f"import drill_faults; drill_faults.at_record({stage!r}, True)()"
    for when, before in (("+2y", hook), ("-11y", "")):
        command = f"import sys; {before or 'pass'}; from distill.cli import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", command, "nightly", *drill.service.options()],
            env={**os.environ, "LD_PRELOAD": library, "FAKETIME": when, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )
    return Ended(done.returncode, done.stdout, done.stderr)


def wandb(drill: Drill, arguments: argparse.Namespace) -> None:
    """W&B that refuses connections, and one that takes them and never answers."""
    for what, listening in (("W&B unreachable", False), ("W&B accepts and never answers", True)):
        tally = drill.tally(what)
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"http://127.0.0.1:{server.getsockname()[1]}"
            if not listening:
                server.close()
            login = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40, "WANDB_SILENT": "true"}
            drill.trial(tally, lambda login=login: drill.service.run("tracking=online", environment=login))
        if not list((drill.service.root / "outbox").glob("*.json")):
            tally.wrong.append("the outbox is empty: what W&B was not told is lost")


def corrupt(drill: Drill, arguments: argparse.Namespace) -> None:
    """New data that are broken or wrong. What can be left out is, and the student is that of the rest."""
    whole = drill.service.folder / "drops-kept"
    shutil.copytree(drill.service.drops, whole)
    for what, equal, finding, spoil in SPOILED:
        tally = drill.tally(f"data: {what}")
        spoil(drill.service)
        drill.trial(tally, drill.service.run, expect_equal=equal)
        found = json.loads((record_path(drill.service.root / "nights/0002", "vet")).read_text())["result"]
        if finding and not any(one["kind"] == finding for one in found["findings"]):
            tally.wrong.append(f"no finding of {finding} among {found['findings']}")
        shutil.rmtree(drill.service.drops)
        shutil.copytree(whole, drill.service.drops)


def _bad_jpegs(service: Service) -> None:
    whole = picture(3, 50)
    for number, content in enumerate((b"", b"no picture", whole[: len(whole) // 2], os.urandom(3000))):
        service.put_file(f"2026-01-02/person-3/{number + 50}.jpg", content)


def _duplicates(service: Service) -> None:
    for number in range(3):
        service.put_file(f"2026-01-02/person-1/again-{number}.jpg", picture(1, number))


def _wrong_labels(service: Service) -> None:
    for number in range(60, 62):
        service.put_file(f"2026-01-02/person-4/{number}.jpg", picture(5, number))


def _split(service: Service) -> None:
    for number in range(70, 74):
        service.put_file(f"2026-01-02/person-6-again/{number}.jpg", picture(6, number))


def _empty(service: Service) -> None:
    (service.drops / "2026-01-03").mkdir()


SPOILED: list[tuple[str, bool, str, Callable[[Service], None]]] = [
    ("broken JPEGs", True, "damaged", _bad_jpegs),
    ("duplicates", True, "duplicate", _duplicates),
    ("an empty drop", True, "empty_drop", _empty),
    ("wrong labels", False, "doubtful_label", _wrong_labels),
    ("an identity split in two", False, "split_person", _split),
]
"""What, whether the student has to be that of the good data alone, what vetting has to find, and how it is done."""
