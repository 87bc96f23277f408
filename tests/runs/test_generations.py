"""Recursive distillation: which runs a command has, and that a killed one goes on in the generation it was in."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import main
from distill.config.compose import load
from distill.config.training_jobs import DistillConf
from distill.runs.folder import METRICS, RunFolder
from distill.runs.generations import Generations
from distill.runs.student import open_inputs

Options = Callable[..., list[str]]
LABELS = ("teacher=none", "teacher.weights=null", "objective=margin")


def generations(options: Options, *more: str) -> Generations:
    conf: DistillConf = load("distill", options(*LABELS, *more))
    return Generations(conf, open_inputs(conf))


def test_the_first_run_is_that_of_the_same_command_without_generations(options: Options):
    alone, three = generations(options), generations(options, "generations=3")
    assert three.first == alone.first
    assert three.configuration(1) == alone.configuration(1) == alone.conf
    assert [three.folder(number).path.name for number in (1, 2, 3)] == [
        alone.first,
        f"{alone.first}-g2",
        f"{alone.first}-g3",
    ]


def test_a_later_one_begins_with_the_one_before_and_differs_in_nothing_else(options: Options):
    three = generations(options, "generations=3", "run.name=a", "tracking.name=n", "tracking.id=i")
    first, third = three.configuration(1), three.configuration(3)
    before = str(three.root / "a-g2")
    assert (third.student.init, third.student.centres) == (before, before)
    assert (third.tracking.name, third.tracking.id, third.run.name, third.generations) == ("n-g3", "i-g3", "a-g3", 1)
    for name in ("teacher", "data", "objective", "protocol", "trainer", "export", "replay", "signals", "seed"):
        assert getattr(third, name) == getattr(first, name), name
    assert third.student.network == first.student.network


def test_a_start_that_is_given_is_the_first_ones(options: Options, tmp_path: Path):
    (tmp_path / "weights.safetensors").write_bytes(b"")
    init = str(tmp_path / "weights.safetensors")
    two = generations(options, "generations=2", f"student.init={init}", "run.name=a")
    assert two.configuration(1).student.init == init
    assert two.configuration(2).student.init == str(two.root / "a")


def test_fresh_begins_anew_only_where_the_last_generation_is_finished(options: Options):
    def first() -> str:
        return generations(options, "generations=2", "run.name=a", "run.fresh=true").first

    root = generations(options).root
    assert first() == "a"
    for finished, expected in (("a", "a-2"), ("a-2", "a-2"), ("a-2-g2", "a-3")):
        (root / finished).mkdir(parents=True)
        (root / finished / METRICS).write_text("{}")
        assert first() == expected


@pytest.mark.parametrize("number", ["0", "-1"])
def test_less_than_one_is_refused_before_anything_is_read(options: Options, refused: Callable[..., str], number: str):
    told = refused("distill", *options(f"generations={number}", "data.root=nowhere"))
    assert told == f"generations is {number}; expected 1 or more"


def students(root: Path, name: str, numbers: int) -> list[bytes]:
    return [(root / f"{name}{end}" / "student.safetensors").read_bytes() for end in ("", "-g2", "-g3")[:numbers]]


@pytest.mark.slow
def test_every_generation_is_a_checked_run_and_more_can_follow(
    options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
):
    root = tmp_path / "runs"
    assert main(["distill", *options("run.name=a")]) == 0
    alone = students(root, "a", 1)
    assert main(["distill", *options("run.name=a", "generations=2")]) == 0
    printed = capsys.readouterr().out
    assert f"generation 1 is finished: {root / 'a'}" in printed
    assert "auc, generation 2" in printed
    assert "judge: reject" in printed, "24 pairs show no gain"
    for name in ("student.onnx", "report.html", "card.md", "check.json", "metrics.json"):
        assert (root / "a-g2" / name).is_file()
    assert "Generations" in (root / "a-g2" / "report.html").read_text()
    assert "Generations" not in (root / "a" / "report.html").read_text()
    assert (root / "latest").resolve() == root / "a-g2"
    two = students(root, "a", 2)
    assert two[0] == alone[0], "the first one is not trained again"
    assert two[1] != two[0]
    moved = root.rename(tmp_path / "moved")
    assert main(["distill", *options("run.name=a", "generations=3", f"run.root={moved}")]) == 0
    assert students(moved, "a", 2) == two, "wherever they lie, finished ones stay"
    metrics = RunFolder(moved / "a-g3").metrics()
    assert [one["run"] for one in metrics["generations"]] == ["a", "a-g2", "a-g3"]
    shutil.copy(moved / "a-g2" / "student.safetensors", moved / "a" / "student.safetensors")
    told = refused("distill", *options("run.name=a", "generations=2", f"run.root={moved}"))
    assert f"{moved / 'a-g2'} is a run with other contents of student.init" in told


@pytest.mark.slow
def test_killed_in_the_second_generation_it_ends_with_the_same_students(options: Options, tmp_path: Path):
    settings = ["trainer.images=96", "trainer.workers=1", "generations=2", "run.name=a"]
    assert main(["distill", *options(*settings)]) == 0
    undisturbed = students(tmp_path / "runs", "a", 2)
    root = tmp_path / "killed"
    disturbed = options(*settings, f"run.root={root}")
    command = [sys.executable, "-m", "distill", "distill", *disturbed]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (root / "a-g2" / "checkpoints" / "last.ckpt").exists():
        assert time.monotonic() < deadline, "no checkpoint of the second generation came"
        time.sleep(0.02)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert not (root / "a-g2" / METRICS).exists(), "it was not killed in time"
    first = (root / "a" / METRICS).read_bytes()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "resumes at step" in again.stdout
    assert (root / "a" / METRICS).read_bytes() == first
    assert students(root, "a", 2) == undisturbed
