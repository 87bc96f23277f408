"""The README's first command with what is shipped: no weights, no faces, and a real teacher's signals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill.cli import main
from distill.config.compose import load
from distill.signals.manifest import read_manifest
from distill.signals.set_outputs import CARD, read_centres
from teachers.card import read_card

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(repository: Path) -> Path:
    return repository / "teachers" / "signals" / "r152-synthfaces"


def test_what_is_shipped_is_small_whole_and_says_what_it_is_of(store: Path):
    manifest, card = read_manifest(store), read_card(store / CARD)
    assert sum(path.stat().st_size for path in store.iterdir()) < 8_000_000
    assert manifest.teacher["name"] == card.name == "r152"
    assert manifest.teacher["sha256"] == card.sha256
    assert card.training is not None
    assert {"objective", "images", "image_steps", "seconds", "init", "seed"} <= card.training.keys()
    assert read_centres(store, manifest).shape == (manifest.data["classes"], 512)


def test_its_command_is_the_recipe_that_it_was_taught_by(store: Path):
    conf, training = load("teach", ["teacher=r152"]), read_card(store / CARD).training
    assert training is not None
    assert training["images"] == conf.data.reader["identities"] * conf.data.reader["pictures"]
    assert (training["image_steps"], training["lr"]) == (conf.trainer.images, conf.trainer.optimizer.lr)
    assert (training["init"], training["seed"]) == (conf.init, conf.seed)
    assert load("teach", [f"teacher={conf.init_teacher}"]).teacher.weights == conf.init


def test_the_first_command_learns_from_it_and_shows_the_student_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
):
    monkeypatch.chdir(tmp_path)
    short = ["trainer.images=128", "trainer.validate_pairs=20", "tracking=none"]
    assert main(["distill", "teacher=r152", "student=vargnet", *short]) == 0
    assert "stored outputs of r152 in place of its passes" in caplog.text
    found = json.loads((tmp_path / "runs" / "latest" / "metrics.json").read_text())
    assert found["images"] == 3000
    assert found["learned_from"] == "r152"
    assert found["sets"]["teacher"].keys() == {"synthfaces_dev", "synthfaces_test"}
    assert min(scores["auc"] for scores in found["sets"]["teacher"].values()) > 0.99
    assert "verdict   PASS" in capsys.readouterr().out
