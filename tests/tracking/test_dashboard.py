from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.tracking.dashboard import RunLine, main, read_run, run_folders
from distill.tracking.panels import NIGHT_SECTIONS, SECTIONS, as_markdown


def make_run(folder: Path, metrics: object = None, changed: int = 0) -> Path:
    (folder / "wandb" / "below").mkdir(parents=True)
    for place in (folder, folder / "wandb" / "below"):
        (place / "config.yaml").write_text("")
    os.utime(folder / "config.yaml", (changed, changed))
    if metrics is not None:
        (folder / "metrics.json").write_text(metrics if isinstance(metrics, str) else json.dumps(metrics))
    return folder


def test_finds_runs_and_those_of_a_multirun_once_each_the_newest_last(tmp_path: Path) -> None:
    old = make_run(tmp_path / "z", changed=1)
    new = make_run(tmp_path / "multi" / "0", changed=2)
    (tmp_path / "latest").symlink_to(new)
    assert run_folders(tmp_path) == [old, new]


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        (
            {"verdict": "pass", "student": {"accuracy_mean": 0.9}, "teacher": {"accuracy_mean": 0.99}},
            RunLine("a", "pass", 0.9, 0.99),
        ),
        ({"verdict": "fail", "student": None}, RunLine("a", "fail")),
        ({}, RunLine("a", "no verdict")),
        ([1], RunLine("a", "no verdict")),
        (None, RunLine("a", "not finished")),
        ('{"verdict": "pa', RunLine("a", "unreadable metrics.json")),
    ],
)
def test_says_what_there_is_of_a_run(tmp_path: Path, metrics: object, line: RunLine) -> None:
    assert read_run(make_run(tmp_path / "a", metrics), tmp_path) == line


def test_prints_the_runs_and_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "r", {"verdict": "pass", "student": {"accuracy_mean": 0.925}})
    assert main(["--runs", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "92.50 %" in text
    assert "pass" in text
    for command in ("wandb leet", f"wandb sync {tmp_path}/*/wandb/offline-run-*", "report.html"):
        assert command in text


def test_without_runs_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", str(tmp_path / "none")]) == 0
    assert "no runs under" in capsys.readouterr().out


def test_prints_the_panels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--panels"]) == 0
    assert capsys.readouterr().out.strip() == as_markdown((*SECTIONS, *NIGHT_SECTIONS))


def test_pushing_without_the_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wandb_workspaces", "wandb_workspaces.workspaces"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match="pip install wandb-workspaces") as caught:
        main(["--push", "team/faces"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["--push", "--push-nights"])
@pytest.mark.parametrize("target", ["faces", "team/", "/faces", "a/b/c"])
def test_pushing_needs_entity_and_project(option: str, target: str) -> None:
    with pytest.raises(UserError, match=f"^{option} {target}: expected entity/project"):
        main([option, target])


def test_delivering_an_empty_outbox_is_done_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--deliver", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "0 of 0 events delivered\n"


def test_a_file_instead_of_the_runs_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(UserError, match="this is a file"):
        main(["--runs", str(tmp_path / "f")])


def test_the_commands_that_it_names_exist() -> None:
    for command in (["leet", "inspect", "--help"], ["sync", "--help"]):
        subprocess.run([sys.executable, "-m", "wandb", *command], check=True, capture_output=True)
