"""The table of a registry: who serves, what is damaged, what was withdrawn, and events in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.registry.history import EventKind, RegistryEvent
from distill.registry.registry import Registry
from distill.report.registry_table import event_line, print_versions
from reference.served_registry import MODEL, serve

AT = "2026-11-29T02:00:00+00:00"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    serve(tmp_path / "registry")
    return Registry(tmp_path / "registry")


def test_an_event_is_a_line_with_what_was_before_and_why():
    event = RegistryEvent(
        EventKind.promote, "v0007", AT, state=3, before="v0006", why={"night": 9, "auc": 0.5, "more": {"a": 1}}
    )
    assert event_line(event) == f"{AT}  promote   v0007 after v0006: night 9, auc 0.5"
    assert event_line(RegistryEvent(EventKind.add, "v0007", AT)) == f"{AT}  add       v0007"


def cells(out: str, version: str) -> list[str]:
    return [cell.strip() for cell in next(x for x in out.splitlines() if x.startswith(f"| {version}")).split("|")[1:-1]]


def test_a_whole_registry(registry: Registry, capsys: pytest.CaptureFixture[str]):
    assert print_versions(registry)
    out = capsys.readouterr().out
    assert cells(out, "v0004")[:3] == ["v0004", "champion", "intact"]
    assert cells(out, "v0003")[1] == "previous"
    assert cells(out, "v0001")[1] == "-"
    assert cells(out, "v0001")[-3:] == ["1", "-", "-"], "what the night did not tell is a dash"
    assert "note" not in out


def test_withdrawn_versions_say_so(registry: Registry, capsys: pytest.CaptureFixture[str]):
    assert print_versions(registry)
    assert "withdrawn" not in capsys.readouterr().out
    registry.rollback({"why": "drill"})
    assert print_versions(registry)
    out = capsys.readouterr().out
    assert (cells(out, "v0003")[1], cells(out, "v0004")[1]) == ("champion", "previous")
    assert out.count("withdrawn") == 1


@pytest.mark.parametrize(("version", "whole"), [("v0001", True), ("v0003", False), ("v0004", False)])
def test_damage_is_told_and_counts_where_somebody_may_read(
    registry: Registry, version: str, whole: bool, capsys: pytest.CaptureFixture[str]
):
    folder = next(found.folder for found in registry.versions() if found.name == version)
    (folder / MODEL).write_bytes(b"")
    (folder.parent / "junk").mkdir()
    assert print_versions(registry) == whole
    out = capsys.readouterr().out
    assert cells(out, version)[2] == "DAMAGED"
    assert f"note      {folder / MODEL}: has sha256 " in out
    assert "note      junk: is no version" in out
