"""A nightly service that is killed, starved, lied to and cut off, again and again.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/fault_drill.py [--only kills,disk] [--random 40] [--seed 1]

A service of computed pictures has one night behind it and a second drop before it. Every trial begins there: the night
is started, a fault befalls it, and it is started again until it says that it is done. All the while a consumer reads
`registry/champion/student.onnx` and knows only the two files that may be there. After a trial the champion is whole,
nothing is lost, and its weights and its ONNX file have the sha256 of the undisturbed night's.

Prints a table and writes benchmarks/results/fault_drill.json; leaves with 1 if anything went wrong. A full disk is a
tmpfs, which only root may mount; the clock is turned by libfaketime. Where one is missing, that fault is left out,
and the table says so.
"""

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
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

from drill_faults import LostRename, at_record, before_rename, count_renames
from drill_service import Ended, Service, picture

from distill.atomic import write_atomic
from distill.nightly.nights import nights
from distill.nightly.records import STAGES, read_records
from distill.registry.registry import Registry
from distill.tracking.summary import print_figures

RESULT = Path(__file__).parent / "results" / "fault_drill.json"
BASE = "base"
PROMOTED, NOTHING, BUSY = 10, 0, 75
MOST_STARTS = 4


@dataclass
class Tally:
    """What the trials of one fault came to; ``wrong`` says what was not as it has to be."""

    fault: str
    trials: int = 0
    hit: int = 0
    """Starts that the fault ended."""
    reads: int = 0
    """Whole champions that the consumer read meanwhile."""
    slowest_s: float = 0.0
    """Of the starts after the fault."""
    equal: int = 0
    wrong: list[str] = field(default_factory=list)


class Drill:
    """A service after its first night, with a second drop, and what an undisturbed second night makes of it."""

    def __init__(self, folder: Path) -> None:
        self.service = Service(folder)
        self.tallies: list[Tally] = []
        assert self.service.run().status == PROMOTED, "the first night"
        self.service.put("2026-01-02", {0: range(5, 8), 20: range(4)})
        self.service.keep(BASE)
        counted = folder / "renames"
        begun_s = time.monotonic()
        ended = self.service.run(hook=count_renames(counted))
        assert ended.status == PROMOTED, ended.err
        self.night_s, self.renames = time.monotonic() - begun_s, int(counted.read_text())
        self.undisturbed = self._champion_files()
        self.first = Registry(self.service.root / "registry").version("v0001").files

    def _champion_files(self) -> dict[str, str]:
        """The sha256 of the champion's model and weights; every byte of it has been checked."""
        champion = Registry(self.service.root / "registry").champion()
        assert champion is not None
        files = champion.verified().files
        return {name: files[name] for name in ("student.onnx", "student.safetensors")}

    def trial(self, tally: Tally, fault: Callable[[], Ended], expect_equal: bool = True) -> None:
        """One fault and what comes after it; everything that is wrong is noted in ``tally``."""
        self.service.restore(BASE)
        drops = _contents(self.service.drops)
        tally.trials += 1
        with _consumer(self.service.root) as seen:
            ended = fault()
            tally.hit += ended.status not in (NOTHING, PROMOTED, 20)
            if "Traceback" in ended.err:
                tally.wrong.append(ended.err)
            self._champion_files()
            ended = self._finish(tally, ended)
        self._look(tally, ended, seen, expect_equal)
        if _contents(self.service.drops) != drops:
            tally.wrong.append("the drops are not what they were")

    def _finish(self, tally: Tally, ended: Ended) -> Ended:
        """Start again until the night is done."""
        last = ended
        for _ in range(MOST_STARTS):
            begun_s = time.monotonic()
            now = self.service.run()
            tally.slowest_s = max(tally.slowest_s, time.monotonic() - begun_s)
            if now.status == NOTHING:
                return last
            last = now
        tally.wrong.append(f"not done after {MOST_STARTS} starts: {last.err or last.out}")
        return last

    def _look(self, tally: Tally, ended: Ended, seen: dict[str, int], expect_equal: bool) -> None:
        """What has to hold after every trial."""
        root = self.service.root
        registry = Registry(root / "registry")
        found = self._champion_files()
        tally.equal += found == self.undisturbed
        if expect_equal and found != self.undisturbed:
            tally.wrong.append(f"the champion is not the undisturbed one; the last start said {ended.err or ended.out}")
        allowed = {self.first["student.onnx"], found["student.onnx"]}
        tally.reads += sum(seen.values())
        tally.wrong += [f"the consumer read {digest[:12]}" for digest in seen if digest not in allowed]
        versions = [version.verified().name for version in registry.versions()]
        if expect_equal and versions != ["v0001", "v0002"]:
            tally.wrong.append(f"the registry holds {versions}")
        if expect_equal and [event.version for event in registry.history()] != ["v0001", "v0001", "v0002", "v0002"]:
            tally.wrong.append(f"the history is {registry.history()}")
        for night in nights(root):
            if list(read_records(night.folder)) != list(STAGES):
                tally.wrong.append(f"night {night.number} lacks records")

    def tally(self, fault: str) -> Tally:
        self.tallies.append(Tally(fault))
        return self.tallies[-1]


def _contents(folder: Path) -> str:
    """One hash of all files below a folder."""
    digest = sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def _consumer(root: Path) -> Iterator[dict[str, int]]:
    """A process that reads the champion's model over and over; how often it read which sha256, once it has ended."""
    seen: dict[str, int] = {}
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        _consume(root / "registry" / "champion" / "student.onnx", writer)
    os.close(writer)
    try:
        yield seen
    finally:
        os.kill(process, signal.SIGTERM)
        with os.fdopen(reader) as told:
            seen.update(json.loads(told.read() or "{}"))
        os.waitpid(process, 0)


def _consume(path: Path, writer: int) -> None:
    """Read until told to stop. A file that is not there is noted under the error's name."""
    seen: dict[str, int] = {}

    def stop(*_: object) -> None:
        os.write(writer, json.dumps(seen).encode())
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    while True:
        try:
            digest = sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            digest = str(error)
        seen[digest] = seen.get(digest, 0) + 1
        time.sleep(0.002)


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
        found = json.loads((drill.service.root / "nights/0002/records/02-vet.json").read_text())["result"]
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
GROUPS = {
    "kills": kills,
    "power": power,
    "disk": disk,
    "corrupt": corrupt,
    "starts": two_starts,
    "clock": clock,
    "wandb": wandb,
}


def main() -> int:
    arguments = _arguments()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        drill = Drill(Path(folder))
        print(f"an undisturbed night takes {drill.night_s:.1f} s and makes {drill.renames} renames", flush=True)
        for group in arguments.only:
            GROUPS[group](drill, arguments)
            for tally in drill.tallies[-2:]:
                print(f"{tally.fault}: {tally.trials} trials, {len(tally.wrong)} wrong", flush=True)
    columns = ("fault", "trials", "ended by it", "champion read", "same student", "slowest start", "wrong")
    print_figures(columns, [_row(tally) for tally in drill.tallies])
    for tally in drill.tallies:
        for line in tally.wrong:
            print(f"wrong: {tally.fault}: {line}")
    result = {
        "machine": f"{len(os.sched_getaffinity(0))} cores",
        "night_s": round(drill.night_s, 2),
        "renames": drill.renames,
        "seconds": round(time.monotonic() - begun_s),
        "faults": [asdict(tally) for tally in drill.tallies],
    }
    write_atomic(arguments.out, (json.dumps(result, indent=1) + "\n").encode())
    return int(any(tally.wrong for tally in drill.tallies))


def _row(tally: Tally) -> tuple[str, ...]:
    counts = (str(tally.trials), str(tally.hit), f"{tally.reads:,}", str(tally.equal))
    return tally.fault, *counts, f"{tally.slowest_s:.1f} s", str(len(tally.wrong))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="faults of a nightly service")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(GROUPS))
    parser.add_argument("--random", type=int, default=40, help="kills at random moments")
    parser.add_argument("--renames", type=int, default=16, help="renames at which power is lost")
    parser.add_argument("--disk", type=int, default=24, help="steps at which the disk is full")
    parser.add_argument("--starts", type=int, default=3, help="pairs of starts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
