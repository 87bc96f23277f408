"""Killed at every step, at any moment, or out of space: the champion serves, and the next call makes good the rest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.registry.registry import Registry
from files.test_atomic import full_disk
from reference.served_registry import ACTS, MODEL, add, model_file, read_as_consumer, require_whole, snapshot
from scenarios.registry.steps import filling, watch

DYING = Path(__file__).with_name("dying.py")


@pytest.fixture(scope="module")
def before(served: Path) -> Path:
    """A folder with the registry ``before``."""
    folder = Path(tempfile.mkdtemp(dir=served.parent))
    shutil.copytree(served, folder / "before", symlinks=True)
    return folder


@pytest.fixture(scope="module")
def undisturbed(before: Path) -> dict[str, dict[str, object]]:
    """What each act comes to."""
    found = {}
    for act in ACTS:
        root = copied(before, before / act)
        ACTS[act](root)
        found[act] = snapshot(root)
    return found


@pytest.fixture(scope="module")
def killed(before: Path, environment: dict[str, str]) -> dict[str, int]:
    """How many steps each act has; ``ACT-STEP/registry`` is what a process left that was killed before the step."""
    command = [sys.executable, str(DYING), "steps", str(before)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def copied(before: Path, folder: Path) -> Path:
    return Path(shutil.copytree(before / "before", folder / "registry", symlinks=True))


@pytest.mark.parametrize("act", ACTS)
def test_killed_before_every_step(before: Path, killed: dict[str, int], undisturbed: dict[str, object], act: str):
    assert killed[act] >= 8
    for step in range(1, killed[act] + 1):
        root = before / f"{act}-{step}" / "registry"
        require_whole(root, act)
        ACTS[act](root)
        assert snapshot(root) == undisturbed[act], f"{act}, killed before step {step}"


@pytest.mark.parametrize("act", ACTS)
def test_no_space_from_every_step_on(before: Path, undisturbed: dict[str, object], place: Path, act: str):
    step, told = 1, []
    while True:
        root = copied(before, place / str(step))
        steps, line = filled(root, act, step)
        require_whole(root, act)
        ACTS[act](root)
        assert snapshot(root) == undisturbed[act], f"{act}, no space from step {step} on"
        if steps < step:
            break
        told.append(line)
        step += 1
    assert len(told) >= 8
    if act != "rollback":  # `roll_back` hides what it is told
        assert all(line is None or ("No space left" in line and "\n" not in line) for line in told)
        assert told[0] is not None


def filled(root: Path, act: str, step: int) -> tuple[int, str | None]:
    """How many changes the act tried, with no space from ``step`` on, and its output."""
    tried, full = 0, filling(step)

    def on_change(event: str, number: int) -> None:
        nonlocal tried
        tried = number
        full(event, number)

    try:
        with watch(root, on_change):
            ACTS[act](root)
    except UserError as error:
        return tried, str(error)
    return tried, None


@pytest.mark.parametrize("room_bytes", [0, 100, 10_000, 29_999])
def test_a_version_that_does_not_fit(root: Path, tmp_path: Path, room_bytes: int):
    earlier = snapshot(root)
    model = model_file(tmp_path / "made", 7)
    with full_disk(room_bytes), pytest.raises(UserError, match=r"cannot write .*; expected a writable registry"):
        Registry(root).add({MODEL: model}, {})
    assert snapshot(root) == earlier


def test_a_history_that_does_not_fit(root: Path):
    """The kernel cuts its line short; the promotion has happened, is reported as such, and is written later, once."""
    path = root / "history.jsonl"
    earlier = path.read_bytes()
    with full_disk(len(earlier) + 20), pytest.raises(UserError, match=r"history\.jsonl|File too large"):
        Registry(root).promote("v0005", {"reason": "a line that is longer than the room that is left"})
    assert path.read_bytes() == earlier
    assert read_as_consumer(root) == "v0005"
    assert [event.version for event in Registry(root).history()][-1] == "v0005"
    Registry(root).promote("v0005", {})
    assert path.read_bytes().startswith(earlier)
    assert len(path.read_bytes().splitlines()) == len(earlier.splitlines()) + 1


def test_killed_at_any_moment(root: Path, environment: dict[str, str]):
    """Repeatedly at random moments, in the same registry, which is checked after each."""
    command = [sys.executable, str(DYING), "moments", str(root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10, "hardly anything was done before the process was killed"
    last = add(root, 10_000)
    Registry(root).promote(last, {})
    assert read_as_consumer(root) == last
