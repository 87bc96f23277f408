"""W&B's environment variables: obeyed, reported in one line, refused in one; W&B itself really runs, offline."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import wandb.env

from distill.cli import main
from distill.errors import UserError
from distill.tracking.wandb_run import ID_FILE, WandbRun
from distill.tracking.wandb_session import Shield
from distill.tracking.wandb_settings import WandbSettings
from distill.tracking.wandb_variables import BY_WANDB, DISABLED, MODE, OPTIONS, QUIET, REFUSED, read_variables
from tracking.test_wandb_run import inspect

OWN = {
    "WANDB_PROJECT": "faces_2026",
    "WANDB_ENTITY": "team",
    "WANDB_RUN_GROUP": "1e5",
    "WANDB_NAME": "2026_11_29",
    "WANDB_TAGS": "a, b",
    "WANDB_NOTES": "it's the first, with 'care'",
    "WANDB_JOB_TYPE": "train",
    "WANDB_RUN_ID": "abc123",
    "WANDB_RESUME": "allow",
}


@pytest.fixture(autouse=True)
def _alone(no_account: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No account, and a W&B process of the test's own."""
    monkeypatch.setattr(sys, "argv", ["distill"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.chdir(tmp_path)
    yield
    with Shield():
        wandb.teardown()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[WandbSettings]:
    """The tracking that jobs were started with, in place of running them."""
    found: list[WandbSettings] = []

    def run(conf: Any) -> int:
        found.append(conf.tracking)
        return 0

    for job in ("distill", "nightly", "rollback"):
        monkeypatch.setattr(f"distill.jobs.{job}.run", run)
    return found


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "distill.config.variables"]


def distill(*more: str) -> int:
    return main(["distill", "teacher=none", "objective=margin", *more])


def test_every_variable_is_one_that_w_and_b_reads():
    known = {value for value in vars(wandb.env).values() if isinstance(value, str) and value.startswith("WANDB_")}
    settings = {f"WANDB_{name.upper()}" for name in wandb.Settings.model_fields}
    assert {MODE, *OPTIONS, *BY_WANDB, *QUIET, *REFUSED} <= known | settings


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({"WANDB_MODE": "online"}, "online"),
        ({"WANDB_MODE": "run"}, "online"),
        ({"WANDB_MODE": "offline"}, "offline"),
        ({"WANDB_MODE": "dryrun"}, "offline"),
        ({"WANDB_MODE": "disabled"}, "disabled"),
        ({"WANDB_DISABLED": "true"}, "disabled"),
        ({"WANDB_DISABLED": "1"}, "disabled"),
        ({"WANDB_DISABLED": "false"}, "offline"),
        ({"WANDB_DISABLED": "false", "WANDB_MODE": "online"}, "online"),
        ({"WANDB_DISABLED": "true", "WANDB_MODE": "disabled"}, "disabled"),
        ({"WANDB_MODE": ""}, "offline"),
    ],
)
def test_modes(variables: dict[str, str], mode: str, seen: list[WandbSettings], monkeypatch, caplog):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    caplog.set_level("INFO")
    assert distill() == 0
    assert seen[0].mode == mode
    expected = [f"{name}={value}" for name, value in variables.items() if value]
    assert set("".join(told(caplog)).removeprefix("W&B: ").split("; ")) - {""} == set(expected)


def test_every_option_of_a_run_and_one_line(seen: list[WandbSettings], monkeypatch, caplog, tmp_path: Path):
    for name, value in {**OWN, "WANDB_DIR": "~/records", "WANDB_API_KEY": "k" * 40, "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    caplog.set_level("INFO")
    assert distill() == 0
    expected = {option: OWN[name] for name, option in OPTIONS.items() if name in OWN}
    expected |= {"tags": ["a", "b"], "dir": str(tmp_path / "home/records")}
    assert {option: getattr(seen[0], option) for option in expected} == expected
    (line,) = told(caplog)
    assert line.startswith("W&B: ")
    assert {f"{name}={value}" for name, value in OWN.items()} <= set(line.removeprefix("W&B: ").split("; "))
    assert "WANDB_API_KEY=(hidden)" in line
    assert "k" * 40 not in line


@pytest.mark.parametrize("option", ["tracking=none", "tracking.mode=disabled"])
def test_an_option_of_the_command_wins_and_says_so(option: str, seen: list[WandbSettings], monkeypatch, caplog):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "other")
    caplog.set_level("INFO")
    assert distill(option, "tracking.project=mine") == 0
    assert (seen[0].mode, seen[0].project) == ("disabled", "mine")
    assert told(caplog) == [
        "W&B: WANDB_PROJECT=other does not count: the command gives tracking.project; "
        "WANDB_MODE=online does not count: the command gives tracking.mode"
    ]


def test_a_variable_wins_over_a_file(seen: list[WandbSettings], monkeypatch):
    monkeypatch.setenv("WANDB_RUN_GROUP", "mine")
    assert main(["distill", "experiment=vargfacenet_paper"]) == 0
    assert seen[0].group == "mine"


def test_a_service_names_its_own_runs(seen: list[WandbSettings], monkeypatch, caplog):
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    caplog.set_level("INFO")
    assert main(["rollback"]) == 0
    assert (seen[0].project, seen[0].name, seen[0].id, seen[0].group) == ("faces_2026", None, None, None)
    assert "WANDB_RUN_ID is not used here (docs/tracking.md)" in told(caplog)[0]


def test_jobs_without_tracking_say_nothing(monkeypatch, caplog):
    monkeypatch.setenv("WANDB_MODE", "nonsense")
    monkeypatch.setattr("distill.jobs.check.run", lambda conf: 0)
    assert main(["check", "model=x"]) == 0
    assert told(caplog) == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WANDB_MODE", "of", "one of online, run, offline, dryrun, disabled"),
        ("WANDB_MODE", "shared", "one of online"),
        ("WANDB_DISABLED", "maybe", "true or false"),
        ("WANDB_SILENT", "loud", "true or false"),
        ("WANDB_PROJECT", "a/b", "at most 128 characters and none of"),
        ("WANDB_PROJECT", "x" * 129, "at most 128 characters"),
        ("WANDB_ENTITY", "a/b", "the name of a user or a team"),
        ("WANDB_RUN_ID", "a/b", "no blanks at its ends and none of"),
        ("WANDB_RESUME", "perhaps", "one of allow, must, never, auto"),
        ("WANDB_TAGS", "a,,b", "tags of 1 to 64 characters"),
        ("WANDB_BASE_URL", "wandb.example.org", "an address like https://"),
        ("WANDB_BASE_URL", "https://me:secret@example.org", "an address like https://"),
    ],
)
def test_a_value_that_cannot_be_used_is_one_line(name: str, value: str, expected: str, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    assert distill() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {name} is ")
    assert f"; expected {expected}" in line
    assert "secret" not in line


def test_variables_that_contradict_each_other(monkeypatch, capsys):
    monkeypatch.setenv("WANDB_DISABLED", "true")
    monkeypatch.setenv("WANDB_MODE", "online")
    assert distill() == 2
    assert capsys.readouterr().err == (
        "error: WANDB_DISABLED=true contradicts WANDB_MODE=online; expected one of them, or none\n"
    )


def test_a_file_for_a_folder(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"WANDB_DIR is .*; expected a folder"):
        read_variables({"WANDB_DIR": str(tmp_path / "file")})


def test_one_id_cannot_be_that_of_a_sweep(monkeypatch, capsys):
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    assert distill("-m", "seed=1,2") == 2
    assert "WANDB_RUN_ID is abc and -m starts several runs" in capsys.readouterr().err


def test_what_w_and_b_records_is_what_the_options_say(tmp_path: Path, monkeypatch):
    """Also where the process has variables that say otherwise: the command won over them."""
    for name in OWN:
        monkeypatch.setenv(name, "else")
    for name, value in ((MODE, "disabled"), (DISABLED, "true"), ("WANDB_DIR", str(tmp_path / "else"))):
        monkeypatch.setenv(name, value)
    tracking = WandbSettings(
        project="p", name="n", tags=["t"], notes="why", job_type="j", id="id7", group="g", dir=str(tmp_path / "there")
    )
    folder = tmp_path / "run"
    folder.mkdir()
    run = WandbRun(folder, tracking, {})
    run.log(0, {"loss": 1.0})
    inner = run._run
    assert inner is not None
    assert (inner.project, inner.name, inner.notes, inner.id, inner.group) == ("p", "n", "why", "id7", "g")
    assert (inner.tags, inner.job_type) == (("t",), "j")
    run.finish()
    (fragment,) = (tmp_path / "there/wandb").glob("offline-run-*")
    assert os.environ[MODE] == "disabled", "only for a moment"
    for name in (*OPTIONS, MODE, DISABLED):
        monkeypatch.delenv(name)
    assert inspect(fragment)["run_id"] == (folder / ID_FILE).read_text().strip() == "id7"
    assert not (tmp_path / "else").exists()
    with pytest.raises(UserError, match=r"tracking\.id is id8 and .*wandb_id\.txt holds id7; expected the same"):
        WandbRun(folder, WandbSettings(id="id8"), {})


def test_the_dashboard_delivers_where_the_variables_say(tmp_path: Path, monkeypatch, capsys):
    said: list[Any] = []
    monkeypatch.setattr("distill.tracking.dashboard.deliver", lambda root, settings, _: said.append(settings) or True)
    monkeypatch.setenv("WANDB_PROJECT", "faces")
    monkeypatch.setenv("WANDB_ENTITY", "team")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main(["dashboard", "--deliver", str(tmp_path)]) == 0
    assert main(["dashboard", "--deliver", str(tmp_path), "--project", "me/mine"]) == 0
    assert [(s.entity, s.project, s.mode) for s in said] == [("team", "faces", "online"), ("me", "mine", "online")]
    printed = capsys.readouterr().out
    assert "W&B: WANDB_PROJECT=faces; WANDB_ENTITY=team; WANDB_MODE=offline does not count" in printed
    assert "WANDB_PROJECT=faces does not count: the command gives tracking.project" in printed
