"""The command line: a mistake is one line with the nearest valid name, status 2 and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.cli import OUTPUT_CLOSED, main
from distill.config.training_jobs import CheckConf
from distill.errors import UserError

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["distill"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that has to be refused; gives its one line."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err.removeprefix("error: ").rstrip("\n")

    return run


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> list[CheckConf]:
    """Replaces the check job by one that notes its configuration; ``fail*`` fails and ``mistake*`` is a mistake."""
    seen: list[CheckConf] = []

    def run(conf: CheckConf) -> int:
        seen.append(conf)
        if conf.model.startswith("mistake"):
            raise UserError(f"{conf.model} is none")
        return int(conf.model.startswith("fail"))

    monkeypatch.setattr("distill.jobs.check.run", run)
    return seen


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("studnt=vargnet", "there is no option 'studnt'; did you mean 'student'?"),
        ("student=vargnett", "there is no student 'vargnett'; did you mean 'vargnet'?"),
        ("experiment=nope", "there is no experiment 'nope'"),
        ("trainer.batch_sise=3", "trainer has no option 'batch_sise'; did you mean 'batch_size'?"),
        ("trainr.batch_size=3", "there is no option 'trainr'; did you mean 'trainer'?"),
        ("batch_size=3", "there is no option 'batch_size'; did you mean 'trainer.batch_size'?"),
        ("lr=3", "there is no option 'lr'; did you mean 'trainer.optimizer.lr'?"),
        ("+trainer.batch_sise=3", "trainer has no option 'batch_sise'; did you mean 'batch_size'?"),
        ("++trainer.batch_sise=3", "trainer has no option 'batch_sise'; did you mean 'batch_size'?"),
        ("~sedd", "there is no option 'sedd'; did you mean 'seed'?"),
        ("teacher.network.unitz=[1,1,1,1]", "teacher.network has no option 'unitz'; did you mean 'units'?"),
        ("+teacher.network.unitz=[1,1,1,1]", "teacher.network has no option 'unitz'; did you mean 'units'?"),
        ("data.augment.miror=0.1", "data.augment has no option 'miror'; did you mean 'mirror'?"),
        ("data.augment.mirror=often", "data.augment.mirror is 'often'; expected float"),
        ("seed=abc", "seed: Value 'abc' of type 'str' could not be converted to Integer"),
        ("trainer.precision=bf61", "did you mean 'bf16'?"),
        ("trainer.optimizer.name=adam", "did you mean 'adamw'?"),
        ("student.network=3", "student.network: Cannot assign int"),
        ("run.name=${nothing}", "run.name: Interpolation key 'nothing' not found"),
        ("student", "cannot read 'student'; expected key=value"),
        ("seed=[1", "cannot read 'seed=[1'"),
        ("trainer=3", "there is no trainer '3'; expected one of auto, "),
        ("student=vargnet,vargfacenet", "to run one job for each value add -m"),
        ("--multirn", "there is no flag '--multirn'; did you mean '--multirun'?"),
        ("--experimental-rerun=x.pickle", "there is no flag '--experimental-rerun=x.pickle'"),
        ("--config-dir=/nowhere", "Additional config directory '/nowhere' not found"),
        ("--resolve", "The --resolve flag can only be used"),
    ],
)
def test_mistakes_name_the_nearest_valid_thing(refused: Refused, override: str, line: str):
    assert line in refused("distill", "data.root=/faces", override)


def test_a_misspelt_key_of_a_term_names_the_nearest(refused: Refused):
    terms = sorted(_default_terms())
    line = refused("distill", "data.root=/faces", f"objective.terms.{terms[0]}.wieght=1")
    assert line == f"objective.terms.{terms[0]} has no option 'wieght'; did you mean 'weight'?"


def test_a_new_term_belongs_in_a_file(refused: Refused):
    assert "put it into a file" in refused("distill", "data.root=/faces", "+objective.terms.new.weight=1")


def _default_terms() -> dict[str, Any]:
    from distill.config.compose import load

    return load("distill", ["data.root=/faces"]).objective.terms


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "trainer: {batch_sise: 3}",
            "experiment/mine.yaml: trainer has no option 'batch_sise'; did you mean 'batch_size'?",
        ),
        ("trainr: {batch_size: 3}", "experiment/mine.yaml: there is no option 'trainr'; did you mean 'trainer'?"),
        ("trainer: {precision: bf61}", "experiment/mine.yaml: trainer.precision: Invalid value 'bf61'"),
        ("seed: abc", "experiment/mine.yaml: seed: Value 'abc'"),
        ("defaults: [{override /studnt: vargnet}]", "there is no option 'studnt'; did you mean 'student'?"),
        ("defaults: [{override /student: vargnett}]", "there is no student 'vargnett'; did you mean 'vargnet'?"),
        ("teacher: {network: {unitz: [1]}}", "teacher.network has no option 'unitz'; did you mean 'units'?"),
        ("data: {augment: {miror: 1.0}}", "data.augment has no option 'miror'; did you mean 'mirror'?"),
        ("trainer: {batch_size: 3", "experiment/mine.yaml, line 3"),
    ],
)
def test_mistakes_in_an_experiment_file(refused: Refused, tmp_path: Path, text: str, line: str):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text(f"# @package _global_\n{text}\n")
    assert line in refused("distill", "data.root=/faces", "experiment=mine", "--config-dir", str(tmp_path))


def test_an_experiment_without_its_first_line(refused: Refused, tmp_path: Path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("seed: 3\n")
    assert "'# @package _global_'" in refused("distill", "experiment=mine", "--config-dir", str(tmp_path))


@pytest.mark.parametrize(("name", "near"), [("distil", "distill"), ("verfy", "verify"), ("dashbord", "dashboard")])
def test_unknown_job(refused: Refused, name: str, near: str):
    assert refused(name) == f"there is no job {name!r}; did you mean {near!r}?"


def test_what_is_missing_is_asked_for(refused: Refused):
    assert refused("check") == "model is missing: an ONNX file, e.g. model=student.onnx"
    assert refused("distill", "data=recordio").startswith("data.root is missing: the folder with the faces")


def test_status_of_a_job_is_the_exit_status(job: list[CheckConf]):
    assert main(["check", "model=good.onnx", "protocol=iqiyi_light"]) == 0
    assert main(["check", "model=fail.onnx"]) == 1
    assert [c.protocol.name for c in job] == ["iqiyi_light", "deepglint_light"]


def test_a_job_s_mistake_is_one_line(job: list[CheckConf], refused: Refused):
    assert refused("check", "model=mistake.onnx") == "mistake.onnx is none"


def test_a_bug_stays_a_bug(monkeypatch: pytest.MonkeyPatch):
    def run(conf: CheckConf) -> int:
        raise ValueError("a bug")

    monkeypatch.setattr("distill.jobs.check.run", run)
    with pytest.raises(ValueError, match="a bug"):
        main(["check", "model=x.onnx"])


def test_interruption_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(conf: CheckConf) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("distill.jobs.check.run", run)
    assert main(["check", "model=x.onnx"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_a_sweep_runs_every_job_and_reports_the_worst(job: list[CheckConf], capsys: pytest.CaptureFixture[str]):
    assert main(["check", "protocol=iqiyi_light", "-m", "model=mistake.onnx,good.onnx,fail.onnx"]) == 2
    assert [c.model for c in job] == ["mistake.onnx", "good.onnx", "fail.onnx"]
    assert capsys.readouterr().err == "error: mistake.onnx is none\n"
    assert main(["check", "-m", "model=good.onnx,fail.onnx"]) == 1


def test_a_mistake_in_a_sweep_stops_it_before_the_first_job(job: list[CheckConf], refused: Refused):
    assert "did you mean 'iqiyi_light'" in refused("check", "-m", "model=a.onnx", "protocol=iqiyi_large,iqiyi_ligth")
    assert not job


def test_a_job_leaves_no_files_of_hydra_s(job: list[CheckConf], tmp_path: Path):
    main(["check", "model=good.onnx"])
    assert list(tmp_path.iterdir()) == []


def test_help_lists_the_jobs(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("distill", "teach", "export", "check", "verify", "dashboard"))


def test_the_dashboard_takes_its_own_arguments(monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    def dashboard(arguments: list[str]) -> int:
        seen.extend(arguments)
        return 0

    monkeypatch.setattr("distill.tracking.dashboard.main", dashboard)
    assert main(["dashboard", "--panels"]) == 0
    assert seen == ["--panels"]


def test_a_reader_that_leaves_is_no_mistake() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "distill", "help"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (OUTPUT_CLOSED, "")
