"""A small registry as a service has it, what may be done to it, and what has to hold of it at any instant."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.registry.policy import Policy
from distill.registry.registry import Registry

MODEL = "student.onnx"
MODEL_BYTES = 30_000


def model_bytes(night: int) -> bytes:
    """A model that stands for a night: only the bytes count here."""
    return hashlib.shake_256(f"night {night}".encode()).digest(MODEL_BYTES)


def model_file(folder: Path, night: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"night{night}.onnx"
    path.write_bytes(model_bytes(night))
    return path


def add(root: Path, night: int) -> str:
    """Add the model of a night, and two more files, as version of the registry at ``root``."""
    model, card = model_file(root.parent / "made", night), root.parent / "made" / "card.md"
    card.write_text("# Card\n")
    return Registry(root).add({MODEL: model, "card.md": card}, {"night": night}).name


def serve(root: Path) -> None:
    """Six versions; v0004 is the champion after v0003, v0002 served before, v0001, v0005 and v0006 never did."""
    for night in range(1, 7):
        add(root, night)
    for name in ("v0002", "v0003", "v0004"):
        Registry(root).promote(name, {"reason": f"{name} is better"})


def roll_back(root: Path) -> None:
    """As somebody does who does not know whether the first try arrived."""
    with suppress(UserError):  # "went back already"
        Registry(root).rollback({"why": "drill"})


ACTS: dict[str, Callable[[Path], Any]] = {
    "add": lambda root: add(root, 7),
    "promote": lambda root: Registry(root).promote("v0005", {"reason": "drill"}),
    "rollback": roll_back,
    "prune": lambda root: Registry(root).prune(Policy(newest=1, champions=0)),
}
"""Each of them may be repeated until it succeeds."""

CHAMPIONS = {"add": {"v0004"}, "promote": {"v0004", "v0005"}, "rollback": {"v0004", "v0003"}, "prune": {"v0004"}}
"""Which version serves while it is done, and afterwards."""


def read_as_consumer(root: Path) -> str:
    """The champion's name, after its model was read the way a program of somebody else does: through the link."""
    folder = os.open(root / "champion", os.O_RDONLY | os.O_DIRECTORY)
    try:
        record = json.loads(_read(folder, "version.json"))
        assert hashlib.sha256(_read(folder, MODEL)).hexdigest() == record["files"][MODEL]
    finally:
        os.close(folder)
    return record["name"]


def _read(folder: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
        return file.read()


def require_whole(root: Path, act: str) -> None:
    """What has to hold at any instant, before anything is repaired."""
    registry = Registry(root)
    assert read_as_consumer(root) in CHAMPIONS[act]
    champion, previous = registry.champion(), registry.previous()
    assert champion is not None
    assert previous is not None
    assert champion.verified().name == read_as_consumer(root)
    assert previous.verified().name != champion.name
    keys = [event.key for event in registry.history()]
    assert len(keys) == len(set(keys))
    require_counted(root)


def require_counted(root: Path) -> int:
    """All versions are whole, and the history has each change of the pointers once; how many there were."""
    read_as_consumer(root)
    for version in Registry(root).versions():
        version.verified()
    states = [event.state for event in Registry(root).history() if event.state is not None]
    assert sorted(states) == list(range(1, len(states) + 1))
    assert os.readlink(root / "state") == f"states/{len(states):06d}", "the history is ahead or behind"
    return len(states)


def snapshot(root: Path) -> dict[str, Any]:
    """All that distinguishes two registries but for the clock, and the names of all files in it."""
    registry = Registry(root)
    history = (root / "history.jsonl").read_text().splitlines()
    return {
        "versions": {version.name: version.identity for version in registry.versions()},
        "champion": os.readlink(root / "state" / "champion"),
        "previous": os.readlink(root / "state" / "previous"),
        "history": [{key: value for key, value in json.loads(line).items() if key != "at"} for line in history],
        "names": sorted(str(path.relative_to(root)) for path in root.rglob("*")),
    }
