"""Builds the real workspaces and the report; saving them needs a server."""

from __future__ import annotations

from distill.tracking.panels import NIGHT, NIGHT_SECTIONS, SECTIONS, STEP
from distill.tracking.workspace import build, build_nights, build_report


def test_every_panel_is_in_the_workspace() -> None:
    workspace = build("team", "faces")
    assert [section.name for section in workspace.sections] == [section.title for section in SECTIONS]
    for ours, theirs in zip(SECTIONS, workspace.sections, strict=True):
        assert [panel.title for panel in theirs.panels] == [panel.title for panel in ours.panels]
        assert [panel.metric_regex for panel in theirs.panels] == [f"^{panel.pattern}$" for panel in ours.panels]
        assert {panel.x for panel in theirs.panels} == {STEP}
    assert workspace.auto_generate_panels is True


def test_every_panel_of_the_nights_is_in_their_workspace_and_in_their_report() -> None:
    workspace, report = build_nights("team", "faces"), build_report("team", "faces")
    grids = [block for block in report.blocks if hasattr(block, "panels")]
    for shown in (workspace.sections, grids):
        for ours, theirs in zip(NIGHT_SECTIONS, shown, strict=True):
            assert [panel.title for panel in theirs.panels] == [panel.title for panel in ours.panels]
            assert [panel.metric_regex for panel in theirs.panels] == [f"^{panel.pattern}$" for panel in ours.panels]
            assert {panel.x for panel in theirs.panels} == {NIGHT}
    assert {runs.query for grid in grids for runs in grid.runsets} == {"nights"}
    assert workspace.runset_settings.query == "^nights$"
