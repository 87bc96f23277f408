"""Options under two names: both mean the same everywhere, and a line reports the older one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from distill.cli import main
from distill.config.aliases import BETTER, BETTER_VALUES, as_stored, file_as_stored
from distill.config.compose import JOBS, config_hash, load
from distill.errors import UserError

VERIFY = ["model=a.onnx", "pairs=a.bin"]
IN_JOBS = {
    ("verify", "resamples=77", "bootstrap=77"),
    ("score", "resamples=77", "bootstrap=77"),
    ("signals", "batch_size=7", "batch_images=7"),
    ("check", "protocol.target_fpr=0.5", "protocol.far_target=0.5"),
    ("judge", "judge.target_fpr=0.5", "judge.fpr=0.5"),
    ("judge", "judge.min_score=0.6", "judge.floor=0.6"),
    ("nightly", "start=scratch", "start=anew"),
}
NEEDED = {
    "verify": VERIFY,
    "score": ["features=a.bin", "labels=a.txt"],
    "check": ["model=a.onnx"],
    "judge": ["challenger=a.onnx", "pairs=a.bin"],
    "nightly": ["drops=d"],
}


@pytest.mark.parametrize(("job", "better", "older"), sorted(IN_JOBS))
def test_both_names_give_the_same_configuration_and_hash(
    job: str, better: str, older: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    needed = NEEDED.get(job, [])
    new = load(job, [*needed, better])
    assert caplog.text == ""
    old = load(job, [*needed, older])
    assert caplog.text.count("both are understood") == 1
    assert new == old
    assert config_hash(new) == config_hash(old)


def test_the_better_name_sets_the_stored_option():
    assert load("verify", [*VERIFY, "resamples=77"]).bootstrap == 77
    assert load("nightly", ["drops=d", "judge.min_score=0.6", "start=scratch"]).judge.floor == 0.6


def test_the_line_about_an_older_name_has_both(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    load("verify", [*VERIFY, "bootstrap=77"])
    assert "bootstrap is called resamples now; both are understood" in caplog.text


def test_both_names_at_once_are_refused():
    with pytest.raises(UserError, match=r"^resamples and bootstrap are one option and both are given"):
        load("verify", [*VERIFY, "bootstrap=7", "resamples=8"])


def test_a_name_is_an_alias_only_in_jobs_that_have_the_option():
    assert as_stored(JOBS["signals"].conf, ["batch_size=8"]) == ["batch_images=8"]
    assert as_stored(JOBS["verify"].conf, ["batch_size=8"]) == ["batch_size=8"]


def test_prefixes_other_options_and_sweeps_stay_as_they_are():
    nightly = JOBS["nightly"].conf
    given = ["++judge.min_score=0.5", "~data.x", "run.name=a=b", "start=scratch,champion"]
    assert as_stored(nightly, given) == ["++judge.floor=0.5", "~data.x", "run.name=a=b", "start=anew,champion"]


def test_names_in_a_mapping_and_words_in_quotes_or_a_sweep_are_understood():
    given = ["judge={min_score: 0.5, target_fpr: 0.1}", "start='scratch'", "start=choice(champion,scratch)"]
    stored = ["judge={floor: 0.5, fpr: 0.1}", "start='anew'", "start=choice(champion,anew)"]
    assert as_stored(JOBS["nightly"].conf, given) == stored


def test_a_sweep_runs_under_either_name(capfd: pytest.CaptureFixture[str]):
    for name in ("resamples", "bootstrap"):
        assert main(["verify", "-m", "model=x.onnx", "pairs=y.bin", f"{name}=7,8"]) == 2
        assert capfd.readouterr().err.count("error: ONNX file x.onnx does not exist") == 2


def _experiment(folder: Path, text: str) -> list[str]:
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment/mine.yaml").write_text(f"# @package _global_\n{text}")
    return ["nightly", "drops=d", "experiment=mine", "-cd", str(folder), "--cfg", "job"]


def test_an_experiment_may_use_either_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shown = []
    for text in (
        "judge: {min_score: 0.65, target_fpr: 0.02}\nstart: scratch\nprotocol: {target_fpr: 0.5}\n",
        "judge: {floor: 0.65, fpr: 0.02}\nstart: anew\nprotocol: {far_target: 0.5}\n",
    ):
        assert main(_experiment(tmp_path, text)) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert [
        line for line in ("start: anew", "  floor: 0.65", "  far_target: 0.5") if line not in shown[0].splitlines()
    ] == []


def test_both_names_in_one_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(_experiment(tmp_path, "judge: {min_score: 0.65, floor: 0.6}\n")) == 2
    assert capsys.readouterr().err.startswith("error: judge.min_score and judge.floor are one option")


def test_a_file_of_a_group_or_a_job_may_use_the_better_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "protocol").mkdir()
    (tmp_path / "protocol/mine.yaml").write_text("defaults: [iqiyi_light, _self_]\ntarget_fpr: 0.25\n")
    assert main(["check", "model=a.onnx", "protocol=mine", "-cd", str(tmp_path), "--cfg", "job"]) == 0
    assert "far_target: 0.25\n" in capsys.readouterr().out


def test_a_file_for_jobs_that_have_an_option_of_that_name_keeps_it():
    signals, embed = JOBS["signals"].conf, JOBS["embed"].conf
    content = {"batch_size": 8}
    file_as_stored((signals, embed), (), content)
    assert content == {"batch_size": 8}
    file_as_stored((signals,), (), content)
    assert content == {"batch_images": 8}


@pytest.mark.parametrize(
    ("command", "suggested"),
    [
        ("verify model=a pairs=b resampels=7", "'resamples'"),
        ("signals batch_siz=7", "'batch_size'"),
        ("check model=a protocol.target_fp=1", "'target_fpr'"),
        ("judge challenger=a pairs=b judge.min_scor=1", "'min_score'"),
        ("nightly drops=d start=scrach", "expected one of [champion, scratch]; did you mean 'scratch'?"),
    ],
)
def test_suggestions_use_the_better_name(command: str, suggested: str, capsys: pytest.CaptureFixture[str]):
    assert main(command.split()) == 2
    assert suggested in capsys.readouterr().err


def test_help_shows_the_better_name_and_the_older_one_behind_it(capsys: pytest.CaptureFixture[str]):
    assert main(["nightly", "--help", "start=anew"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  start=scratch ") for line in lines)
    (line,) = [line for line in lines if line.startswith("  judge.min_score=0.7 ")]
    assert line.endswith(" Older name: judge.floor.")


@pytest.mark.parametrize("old", [*BETTER, *BETTER_VALUES])
def test_no_alias_is_of_an_option_that_no_job_has(old: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    word = next(iter(BETTER_VALUES.get(old, {"1": ""})))
    for job in JOBS.values():
        as_stored(job.conf, [f"{old}={word}"])
    assert "both are understood" in caplog.text
