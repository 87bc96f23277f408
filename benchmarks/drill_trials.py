"""One trial of the fault drill: a night with a fault still finishes, and all results are correct."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from drill_faults import at_record
from drill_service import Ended, Service

from distill.nightly.records import STAGES, read_records
from distill.nightly.service_folder import Night, nights
from distill.registry.registry import Registry

BEFORE = "before"
"""The state of the service before the night; states after a stage are named by the stage."""
PROMOTED, REJECTED, NOTHING, KILLED = 10, 20, 0, -signal.SIGKILL
MOST_STARTS = 6


@dataclass
class Tally:
    """Results of the trials of one fault; ``wrong`` lists the violations."""

    fault: str
    trials: int = 0
    hit: int = 0
    """Starts that the fault ended."""
    reads: int = 0
    """Whole champions that the consumer read meanwhile."""
    equal: int = 0
    wrong: list[str] = field(default_factory=list)


class Drill:
    """A service after its first night, with a second drop, and what an undisturbed second night makes of it."""

    def __init__(self, folder: Path, tell: Callable[[Tally], None]) -> None:
        self.service, self._tell = Service(folder), tell
        self.night = Night(self.service.root, 2)
        self.tallies: list[Tally] = []
        assert self.service.run().status == PROMOTED, "the first night"
        self.service.put("2026-01-02", {0: range(5, 8), 20: range(4)})
        self.service.keep(BEFORE)
        before_s = _children_cpu_s()
        ended = self.service.run()
        assert ended.status == PROMOTED, ended.err
        self.night_cpu_s = _children_cpu_s() - before_s
        self.size_bytes = sum(p.stat().st_size for p in self.service.root.rglob("*") if p.is_file())
        self.undisturbed = self.champion_files()
        self.first = Registry(self.service.root / "registry").version("v0001").files

    def champion_files(self) -> dict[str, str]:
        """The sha256 of the champion's model and weights; every byte of it has been checked."""
        champion = Registry(self.service.root / "registry").champion()
        assert champion is not None
        files = champion.verified().files
        return {name: files[name] for name in ("student.onnx", "student.safetensors")}

    def killed_after_every_record(self, tally: Tally) -> None:
        """One night, killed where each stage has left its record; the states in between are kept."""
        self.service.restore(BEFORE)
        drops = _contents(self.service.drops)
        with _consumer(self.service.root) as seen:
            for stage in STAGES:
                tally.trials += 1
                ended = self.service.run(hook=at_record(stage, True))
                self._note(tally, ended, True)
                self.service.keep(stage)
        tally.equal += len(STAGES) - 1  # it is one night, whose student all eleven starts have made
        self.look(tally, seen, drops, True)

    def trial(self, tally: Tally, fault: Callable[[], Ended], begin: str = BEFORE, equal: bool = True) -> None:
        """One fault, from a state of the service, and what comes after it; what is wrong is noted in ``tally``."""
        if not (self.service.folder / begin).exists():
            self.killed_after_every_record(Tally(""))
        self.service.restore(begin)
        drops = _contents(self.service.drops)
        tally.trials += 1
        with _consumer(self.service.root) as seen:
            self._note(tally, fault(), equal)
            for _ in range(MOST_STARTS):
                if self.night.record("report") is not None:
                    break
                ended = self.service.run()
            else:
                tally.wrong.append(f"not done after {MOST_STARTS} starts: {ended.err or ended.out}")
        self.look(tally, seen, drops, equal)

    def _note(self, tally: Tally, ended: Ended, equal: bool) -> None:
        """What has to hold at once: no traceback, and a complete champion."""
        tally.hit += ended.status not in (NOTHING, PROMOTED, REJECTED)
        if "Traceback" in ended.err:
            tally.wrong.append(ended.err)
        if self.champion_files()["student.onnx"] not in self.allowed() and equal:
            tally.wrong.append("the champion is neither the old nor the new one")

    def allowed(self) -> tuple[str, str]:
        return self.first["student.onnx"], self.undisturbed["student.onnx"]

    def look(self, tally: Tally, seen: dict[str, int], drops: str, equal: bool) -> None:
        """What has to hold at the end of every trial."""
        root, found = self.service.root, self.champion_files()
        registry = Registry(root / "registry")
        tally.equal += found == self.undisturbed
        tally.reads += sum(seen.values())
        allowed = {self.first["student.onnx"], found["student.onnx"]}
        tally.wrong += [f"the consumer read {digest[:60]}" for digest in seen if digest not in allowed]
        versions = [version.verified().name for version in registry.versions()]
        events = [event.version for event in registry.history()]
        lacking = [n.number for n in nights(root) if list(read_records(n.folder)) != list(STAGES)]
        checks = [
            (_contents(self.service.drops) == drops, "the drops are not what they were"),
            (not lacking, f"nights {lacking} lack records"),
            (not equal or found == self.undisturbed, "the champion is not that of the undisturbed night"),
            (not equal or versions == ["v0001", "v0002"], f"the registry holds {versions}"),
            (not equal or sorted(events) == ["v0001", "v0001", "v0002", "v0002"], f"the history tells of {events}"),
        ]
        tally.wrong += [text for good, text in checks if not good]
        self._tell(tally)

    def tally(self, fault: str) -> Tally:
        self.tallies.append(Tally(fault))
        return self.tallies[-1]


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
    """Read until the pipe asks to stop. A missing file is noted under the error."""
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
        time.sleep(0.01)
