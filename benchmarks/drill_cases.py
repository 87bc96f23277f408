"""The faults of the drill: kills, power loss, a full disk, bad data, two starts, a changed clock, no network."""

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
from functools import partial
from pathlib import Path

from drill_faults import LostRename, at_record, before_rename
from drill_service import Ended, Service, picture
from drill_trials import BEFORE, KILLED, PROMOTED, Drill, Tally

from distill.nightly.records import STAGES, record_path

BUSY = 75
LEFT = {BEFORE: 1.0, "train": 0.7, "export": 0.2}
"""Where random kills begin, and what part of a night's work is left there."""
FEW_RENAMES = (1, 3, 5, 7, 9, 11, 13)
FAKED = {"DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
"""The clock on the wall jumps; time that passes and the times of files do not."""
DISK_BYTES = 64 << 20


def kills(drill: Drill, arguments: argparse.Namespace) -> None:
    """``kill -9`` where every stage ends, before and after its record, and at random moments."""
    drill.killed_after_every_record(drill.tally("kill -9 after each stage's record"))
    tally = drill.tally("kill -9 before each stage's record")
    for before, stage in zip((BEFORE, *STAGES), STAGES, strict=False):
        drill.trial(tally, lambda stage=stage: drill.service.run(hook=at_record(stage, False)), before)
    tally, dice = drill.tally("kill -9 at random moments, some in a row"), random.Random(arguments.seed)
    for _ in range(arguments.random):
        begin = dice.choice(list(LEFT))
        drill.trial(tally, partial(_killed_in_a_row, drill, tally, dice, LEFT[begin] * drill.night_cpu_s), begin)


def _killed_in_a_row(drill: Drill, tally: Tally, dice: random.Random, most_cpu_s: float) -> Ended:
    """Two to four starts of a night, each killed at a random moment of the work that an undisturbed one has to do."""
    starts = dice.randint(2, 4)
    for start in range(starts):
        process = drill.service.start()
        _let_work(process, dice.uniform(0, most_cpu_s))
        os.kill(process, signal.SIGKILL)
        ended = drill.service.wait(process)
        tally.hit += ended.status == KILLED and start < starts - 1  # the last one is counted with the trial
        if drill.champion_files()["student.onnx"] not in drill.allowed():
            tally.wrong.append("the champion is neither the old nor the new one")
    return ended


def _let_work(process: int, cpu_s: float) -> None:
    """Until a process has had so much of a processor, or has ended: a busy machine kills at the same moments."""
    stat, ticks = Path(f"/proc/{process}/stat"), os.sysconf("SC_CLK_TCK")
    while True:
        state, *fields = stat.read_text().rpartition(") ")[2].split()
        if state == "Z" or sum(map(int, fields[10:12])) >= cpu_s * ticks:
            return
        time.sleep(0.01)


def power(drill: Drill, arguments: argparse.Namespace) -> None:
    """Power lost around each rename: of the second half of a night all, of the first a few."""
    for what, fault in (("before a rename", before_rename), ("with a rename that the disk has not seen", LostRename)):
        tally = drill.tally(f"power lost {what}")
        for begin, numbers in ((BEFORE, FEW_RENAMES), ("export", range(1, arguments.renames + 1))):
            for number in numbers:
                drill.trial(tally, partial(drill.service.run, hook=fault(number)), begin)


def disk(drill: Drill, arguments: argparse.Namespace) -> None:
    """A disk that is full at every step of the night."""
    tally, root = drill.tally("disk full (tmpfs)"), drill.service.root
    if os.geteuid():
        tally.fault += ", left out: only root mounts one"
        return
    shutil.rmtree(root)
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "drill", str(root)], check=True)
    try:
        for begin, steps in ((BEFORE, arguments.disk // 3), ("export", arguments.disk)):
            for step in range(steps):
                drill.trial(tally, lambda step=step, steps=steps: _on_full_disk(drill, step / steps), begin)
    finally:
        subprocess.run(["umount", str(root)], check=True)


def _on_full_disk(drill: Drill, share: float) -> Ended:
    """A start where a share of what the night still writes has room; there is space again afterwards."""
    root = drill.service.root
    there = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    disk, ballast = os.statvfs(root), root / "ballast"
    free_bytes = int(share * max(drill.size_bytes - there, 0))
    ballast.write_bytes(b"\0" * max(disk.f_bavail * disk.f_bsize - free_bytes, 0))
    ended = drill.service.run()
    ballast.unlink()
    return ended


def two_starts(drill: Drill, arguments: argparse.Namespace) -> None:
    """Two starts at once: one does the night, the other reports that and ends."""
    tally = drill.tally("two starts at once")

    def both() -> Ended:
        processes = [drill.service.start() for _ in range(2)]
        ended = [drill.service.wait(process) for process in processes]
        if sorted(e.status for e in ended) != [PROMOTED, BUSY]:
            tally.wrong.append(f"two starts ended with {[(e.status, e.out, e.err) for e in ended]}")
        return next((e for e in ended if e.status == BUSY), ended[0])

    for _ in range(arguments.starts):
        drill.trial(tally, both, "export")


def clock(drill: Drill, arguments: argparse.Namespace) -> None:
    """A clock that jumps: the night is killed two years from now and resumes eleven years ago."""
    library = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    tally = drill.tally(
        "clock jumps back thirteen years, killed in between" + ("" if library else ", left out: no libfaketime")
    )
    if library:
        drill.trial(tally, lambda: _through_time(drill, tally, "train", library))


def _through_time(drill: Drill, tally: Tally, stage: str, library: str) -> Ended:
    """Both starts are processes of their own from the beginning, which the library is loaded into."""
    hook = f"import drill_faults; drill_faults.at_record({stage!r}, True)()"
    for when, before in (("+2y", hook), ("-11y", "")):
        command = f"import sys; {before or 'pass'}; from distill.cli import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", command, "nightly", *drill.service.options()],
            env={
                **os.environ,
                **FAKED,
                "LD_PRELOAD": library,
                "FAKETIME": when,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
        )
        tally.hit += done.returncode == KILLED
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
    """New data that are broken or wrong. Bad pictures go into quarantine, and the student is that of the rest."""
    whole = drill.service.folder / "drops-kept"
    shutil.copytree(drill.service.drops, whole)
    for what, equal, finding, spoil in SPOILED:
        tally = drill.tally(f"data: {what}")
        spoil(drill.service)
        drill.trial(tally, drill.service.run, equal=equal)
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
