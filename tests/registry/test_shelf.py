"""What a shelf does to its folders is on the disk when it is done, and what a crash has left goes away."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distill.registry.registry import Registry
from distill.registry.shelf import VERSIONS, Shelf
from distill.registry.version import SIGNATURE
from reference.disk_steps import DiskSteps, Step
from reference.served_registry import add


def test_both_folders_of_what_was_taken_away_are_synchronised_behind_it(root: Path, monkeypatch: pytest.MonkeyPatch):
    steps, versions = DiskSteps(monkeypatch), root / VERSIONS
    Shelf(root).take_away(["v0001", "v0002"])
    gone = versions / ".pruned"
    assert [(step.kind, step.path) for step in steps.all] == [
        ("rename", gone / "v0001"),
        ("rename", gone / "v0002"),
        ("sync", gone),
        ("sync", versions),
    ]


def test_a_signature_is_on_the_disk_before_its_name_and_the_name_when_it_is_told_of(root: Path, monkeypatch):
    steps = DiskSteps(monkeypatch)
    signing: Any = SimpleNamespace(sign=lambda record: b"signature of %d bytes" % len(record))
    for name in Shelf(root).sign(signing):
        path = root / VERSIONS / name / SIGNATURE
        steps.require_name(path, after=steps.require_contents_before_name(path))
    assert len(list(root.glob(f"{VERSIONS}/v*/{SIGNATURE}"))) == 6


def test_the_folders_that_a_new_registry_makes_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steps = DiskSteps(monkeypatch)
    Shelf(tmp_path / "registry").prepare()
    made = tmp_path / "registry" / VERSIONS
    assert steps.all == [Step("sync", made), Step("sync", made.parent), Step("sync", tmp_path)]


@pytest.mark.parametrize("folder", ["versions", "states"])
def test_what_a_crash_left_half_made_is_gone_after_the_next_change(root: Path, folder: str):
    left = root / folder / ".partial"
    left.mkdir()
    (left / "file").write_text("half")
    add(root, 7)
    assert not left.exists()


def test_a_state_that_never_came_into_force_is_gone_after_the_next_change(root: Path):
    (root / "states" / "000099").mkdir()
    add(root, 7)
    assert [path.name for path in sorted((root / "states").iterdir())] == ["000001", "000002", "000003"]
    assert Registry(root).champion() is not None
