"""Versions come, serve, go back and go; the same call again changes nothing."""

from __future__ import annotations

import datetime
import os
import shutil
import stat
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.registry import registry as module
from distill.registry.policy import Policy
from distill.registry.registry import Registry, Withdrawn
from reference.served_registry import MODEL, add, model_bytes, read_as_consumer, serve, snapshot


def names(root: Path) -> list[str]:
    return [version.name for version in Registry(root).versions()]


def pointed(root: Path) -> tuple[str | None, ...]:
    versions = Registry(root).champion(), Registry(root).previous()
    return tuple(None if version is None else version.name for version in versions)


def test_nothing_is_there_before_the_first_version(tmp_path: Path):
    registry = Registry(tmp_path / "none")
    assert (registry.versions(), registry.history(), registry.strangers()) == ([], [], [])
    assert (registry.champion(), registry.previous(), registry.withdrawn()) == (None, None, {})
    assert not registry.root.exists()


def test_the_first_version_serves_without_a_previous_one(tmp_path: Path):
    root = tmp_path / "deep" / "registry"
    assert add(root, 1) == "v0001"
    assert pointed(root) == (None, None)
    Registry(root).promote("v0001", {})
    assert pointed(root) == ("v0001", None)
    assert (root / "champion" / MODEL).read_bytes() == model_bytes(1)
    with pytest.raises(UserError, match="has no previous version to go back to"):
        Registry(root).rollback({})


def test_the_same_files_and_facts_are_the_same_version(root: Path):
    before = snapshot(root)
    assert add(root, 3) == "v0003"
    assert snapshot(root) == before
    assert Registry(root).add({MODEL: root / "champion" / MODEL}, {"night": 4}).name == "v0007"  # without the card


def test_what_was_damaged_is_added_again(root: Path):
    (root / "versions/v0003/card.md").write_text("changed")
    assert add(root, 3) == "v0007"
    assert Registry(root).version("v0007").verified().facts == {"night": 3}


def test_facts_are_json(root: Path):
    version = Registry(root).add({MODEL: root / "champion" / MODEL}, {"pair": (1, 2), "none": None})
    assert version.facts == {"pair": [1, 2], "none": None}
    assert Registry(root).add({MODEL: version.file(MODEL)}, {"pair": (1, 2), "none": None}).name == version.name
    with pytest.raises(ValueError, match="not JSON compliant"):
        Registry(root).add({MODEL: version.file(MODEL)}, {"auc": float("nan")})


def test_a_missing_source_adds_nothing(root: Path, tmp_path: Path):
    before = snapshot(root)
    with pytest.raises(UserError, match=r"gone\.onnx: No such file or directory"):
        Registry(root).add({MODEL: root / "champion" / MODEL, "b": tmp_path / "gone.onnx"}, {})
    assert snapshot(root) == before


def test_both_pointers_change_together_and_once(root: Path):
    Registry(root).promote("v0006", {"night": 6})
    assert pointed(root) == ("v0006", "v0004")
    before = snapshot(root)
    Registry(root).promote("v0006", {"night": 6})
    assert snapshot(root) == before
    last = Registry(root).history()[-1]
    assert (last.kind, last.version, last.before, last.state) == ("promote", "v0006", "v0004", 4)
    assert last.why == {"night": 6}


def test_only_what_is_there_can_serve(root: Path):
    for name in ("v0099", "", "../v0001", "champion"):
        with pytest.raises(UserError, match=r"has no version .*; expected one of: v0001, v0002"):
            Registry(root).promote(name, {})
    assert pointed(root) == ("v0004", "v0003")


@pytest.mark.parametrize("name", [MODEL, "card.md"])
def test_a_damaged_version_is_not_put_into_service(root: Path, name: str):
    (root / "versions/v0005" / name).write_bytes(b"x")
    with pytest.raises(UserError, match=rf"v0005/{name}: has sha256"):
        Registry(root).promote("v0005", {})
    assert pointed(root) == ("v0004", "v0003")


def test_a_version_replaces_only_the_one_that_it_was_compared_with(root: Path):
    for before in ("v0003", None):
        told = f"the champion is v0004 and was {before} when v0005 was compared with it; .*: start again$"
        with pytest.raises(UserError, match=told):
            Registry(root).promote("v0005", {}, instead_of=before)
        assert pointed(root) == ("v0004", "v0003")
    Registry(root).promote("v0005", {}, instead_of="v0004")
    Registry(root).promote("v0005", {}, instead_of="v0004")  # killed after the change and started again
    assert pointed(root) == ("v0005", "v0004")


def test_the_first_champion_replaces_none(tmp_path: Path):
    add(tmp_path, 1)
    with pytest.raises(UserError, match="the champion is None and was v0007"):
        Registry(tmp_path).promote("v0001", {}, instead_of="v0007")
    Registry(tmp_path).promote("v0001", {}, instead_of=None)
    assert pointed(tmp_path) == ("v0001", None)


def test_back_to_the_previous_one_and_not_forth(root: Path):
    assert Registry(root).rollback({"why": "it fails at night"}).name == "v0003"
    assert pointed(root) == ("v0003", "v0004")
    with pytest.raises(UserError, match=r"went back from v0004 to v0003 at .* already; expected to=VERSION"):
        Registry(root).rollback({})
    with pytest.raises(
        Withdrawn, match=r"v0004 was taken out of service at .*: only a rollback to v0004 brings it back$"
    ):
        Registry(root).promote("v0004", {})
    assert pointed(root) == ("v0003", "v0004")
    assert list(Registry(root).withdrawn()) == ["v0004"]


def test_back_to_a_version_by_name(root: Path):
    assert Registry(root).rollback({}, to="v0002").name == "v0002"
    before = snapshot(root)
    assert Registry(root).rollback({}, to="v0002").name == "v0002"
    assert snapshot(root) == before
    Registry(root).rollback({}, to="v0004")
    assert list(Registry(root).withdrawn()) == ["v0002"]
    Registry(root).promote("v0005", {})
    assert Registry(root).rollback({}).name == "v0004"


def test_a_damaged_version_is_not_gone_back_to(root: Path):
    (root / "previous" / MODEL).write_bytes(b"")
    with pytest.raises(UserError, match=r"v0003/student\.onnx: has sha256"):
        Registry(root).rollback({})
    assert read_as_consumer(root) == "v0004"


def test_pruning_spares_what_serves_and_numbers_are_never_used_again(root: Path):
    assert Registry(root).prune(Policy(newest=1, champions=0)) == ["v0001", "v0002", "v0005"]
    assert names(root) == ["v0003", "v0004", "v0006"]
    assert Registry(root).prune(Policy(newest=1, champions=0)) == []
    assert [(e.kind, e.version) for e in Registry(root).history()[-3:]] == [
        ("prune", "v0001"),
        ("prune", "v0002"),
        ("prune", "v0005"),
    ]
    assert add(root, 2) == "v0007"
    assert not list((root / "versions/.pruned").iterdir())


def test_pruning_keeps_the_last_that_served(root: Path):
    assert Registry(root).prune(Policy(newest=1, champions=3)) == ["v0001", "v0005"]


def test_foreign_things_among_the_versions_are_left_alone(root: Path):
    foreign = root / "versions"
    (foreign / "lost+found").mkdir()
    (foreign / "v0009").mkdir()
    (foreign / "v0009/notes").touch()
    (foreign / "v0008").symlink_to("v0001")
    (foreign / "notes.txt").touch()
    (foreign / "v0001/notes.txt").touch()
    assert names(root) == [f"v000{n}" for n in range(1, 7)]
    assert Registry(root).strangers() == ["lost+found", "notes.txt", "v0008", "v0009"]
    assert Registry(root).prune(Policy(newest=1, champions=0)) == ["v0002", "v0005"]
    assert add(root, 10) == "v0010"
    assert (foreign / "v0009/notes").exists()
    assert (foreign / "v0001/notes.txt").exists()


@pytest.mark.parametrize("target", ["/", "states/1", "states/000099", "../states/000003"])
def test_a_pointer_that_leads_elsewhere_is_refused(root: Path, target: str):
    (root / "state").unlink()
    (root / "state").symlink_to(target)
    with pytest.raises(UserError, match="expected"):
        Registry(root).champion()


def test_a_champion_outside_of_the_registry_is_refused(root: Path, tmp_path: Path):
    link = root / "states/000003/champion"
    link.unlink()
    link.symlink_to(tmp_path)
    with pytest.raises(UserError, match="expected a version of this registry"):
        Registry(root).champion()


def test_links_that_somebody_removed_are_made_again(root: Path):
    (root / "champion").unlink()
    (root / "previous").unlink()
    (root / "previous").symlink_to("elsewhere")
    Registry(root).promote("v0004", {})
    assert read_as_consumer(root) == "v0004"
    assert (root / "previous").resolve().name == "v0003"


def test_a_clock_that_jumps_back_changes_no_order(root: Path, monkeypatch: pytest.MonkeyPatch):
    jumped = iter(["2019-01-01T00:00:00+00:00", "2031-01-01T00:00:00+00:00", *["2001-01-01T00:00:00+00:00"] * 9])
    monkeypatch.setattr(module, "_now", lambda: next(jumped))
    Registry(root).promote("v0005", {})
    Registry(root).rollback({})
    Registry(root).promote("v0006", {})
    (root / "history.jsonl").unlink()
    assert pointed(root) == ("v0006", "v0004")
    assert list(Registry(root).withdrawn()) == ["v0005"]
    assert add(root, 7) == "v0007"


def test_the_last_word_about_a_version_is_the_last_state_whatever_the_clock_did(root: Path, monkeypatch):
    jumped = iter(["2031-01-01T00:00:00+00:00", *["2001-01-01T00:00:00+00:00"] * 9])
    Registry(root).promote("v0005", {})
    monkeypatch.setattr(module, "_now", lambda: next(jumped))
    Registry(root).rollback({})
    Registry(root).rollback({}, to="v0005")
    (root / "history.jsonl").unlink()
    assert list(Registry(root).withdrawn()) == ["v0004"]


def test_a_number_that_the_history_knows_is_not_given_again(root: Path):
    shutil.rmtree(root / "versions/v0006")
    assert add(root, 7) == "v0007"


def test_a_registry_that_cannot_be_written_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / "history.jsonl").unlink()
    (root / "history.jsonl").mkdir()
    with pytest.raises(UserError, match=r"history\.jsonl: Is a directory; expected a writable registry") as told:
        Registry(root).promote("v0005", {})
    assert "\n" not in str(told.value)


def test_modes_are_those_of_the_umask(tmp_path: Path):
    before = os.umask(0o022)
    try:
        serve(tmp_path / "registry")
    finally:
        os.umask(before)
    for path in (tmp_path / "registry").rglob("*"):
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_times_are_of_this_world(root: Path):
    added = datetime.datetime.fromisoformat(Registry(root).version("v0001").added_at)
    assert abs((datetime.datetime.now(datetime.UTC) - added).total_seconds()) < 600
