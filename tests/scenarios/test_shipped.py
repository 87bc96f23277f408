"""The README's first command with what is shipped: no weights, no faces, and a real teacher's signals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill.cli import main
from distill.config.compose import load
from distill.signals.manifest import MANIFEST, read_manifest
from distill.signals.set_outputs import CARD, read_centres
from teachers.card import read_card

pytestmark = pytest.mark.slow


STORES = sorted(path.parent for path in (Path(__file__).parents[2] / "teachers" / "signals").glob(f"*/{MANIFEST}"))
MOST_BYTES = {"r152-synthfaces": 8_000_000}
"""The first store holds an embedding for each mirror image; the others hold sums."""


@pytest.fixture(params=STORES, ids=lambda store: store.name)
def store(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_what_is_shipped_is_small_whole_and_says_what_it_is_of(store: Path):
    manifest, card = read_manifest(store), read_card(store / CARD)
    assert sum(path.stat().st_size for path in store.iterdir()) < MOST_BYTES.get(store.name, 4_000_000)
    assert store.name == f"{manifest.teacher['name']}-synthfaces"
    assert manifest.teacher["name"] == card.name
    assert manifest.teacher["sha256"] == card.sha256
    assert card.training is not None
    assert {"objective", "images", "image_steps", "seconds", "init", "seed"} <= card.training.keys()
    assert read_centres(store, manifest).shape == (manifest.data["classes"], 512)


def test_its_command_is_the_recipe_that_it_was_taught_by(store: Path):
    manifest, card = read_manifest(store), read_card(store / CARD)
    conf, training = load("teach", [f"teacher={card.name}"]), card.training
    assert training is not None
    assert manifest.teacher["network"] == conf.teacher.network
    assert training["images"] == conf.data.reader["identities"] * conf.data.reader["pictures"]
    assert (training["image_steps"], training["lr"]) == (conf.trainer.images, conf.trainer.optimizer.lr)
    assert (training["init"], training["seed"]) == (conf.init, conf.seed)
    assert load("teach", [f"teacher={conf.init_teacher}"]).teacher.weights == conf.init


def test_the_first_command_learns_from_it_and_shows_the_student_alone(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.chdir(tmp_path)
    teacher = read_card(store / CARD).name
    short = ["trainer.images=128", "trainer.validate_pairs=20", "tracking=none"]
    assert main(["distill", f"teacher={teacher}", "student=vargnet", *short]) == 0
    assert f"stored outputs of {teacher} in place of its passes" in caplog.text
    found = json.loads((tmp_path / "runs" / "latest" / "metrics.json").read_text())
    assert found["images"] == 3000
    assert found["learned_from"] == teacher
    assert found["sets"]["teacher"].keys() == {"synthfaces_dev", "synthfaces_test"}
    assert min(scores["auc"] for scores in found["sets"]["teacher"].values()) > 0.99
    assert "verdict   PASS" in capsys.readouterr().out
