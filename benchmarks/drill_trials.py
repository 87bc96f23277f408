"""One trial of the fault drill: a fault befalls a night, the night is done all the same, and nothing is amiss."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from drill_faults import count_renames
from drill_service import Ended, Service

from distill.nightly.nights import nights
from distill.nightly.records import STAGES, read_records
from distill.registry.registry import Registry

BASE = "base"
PROMOTED, REJECTED, NOTHING = 10, 20, 0
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
            tally.hit += ended.status not in (NOTHING, PROMOTED, REJECTED)
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
