from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from distill.errors import UserError
from distill.files.network_file import NetworkFile
from distill.types import Preprocessing
from teachers.card import Card, TeacherCost, TeacherScore, card_beside, check_hash, read_card, shipped_card, write_card

FULL = Card(
    name="r152",
    source="taught here",
    licence="MIT",
    preprocessing=Preprocessing("bgr", (1.0, 2.0, 3.0), (4.0, 5.0, 6.5)),
    sha256="0" * 64,
    embedding_dim=512,
    cost=TeacherCost(1, 2, 3),
    score=TeacherScore("lfw_dev", 0.991),
    notes="of Zürich",
    training={"steps": 300, "data": "recordio", "loss": 1.5},
    classes=3791,
    data_fingerprint="abc",
)
LEAST: dict[str, Any] = {
    "name": "x",
    "source": "y",
    "licence": "z",
    "preprocessing": {"order": "rgb", "mean": [0, 0, 0], "std": [255, 255, 255]},
}


def write(path: Path, **changes: Any) -> Path:
    content = {k: v for k, v in {**LEAST, **changes}.items() if v != "drop"}
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("card", [FULL, Card("a", "b", "c", Preprocessing())])
def test_round_trip(tmp_path: Path, card: Card) -> None:
    write_card(card, tmp_path / "new" / "card.yaml")
    assert read_card(tmp_path / "new" / "card.yaml") == card
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["card.yaml"]


def test_least_card_leaves_the_rest_open(tmp_path: Path) -> None:
    card = read_card(write(tmp_path / "card.yaml"))
    assert card.preprocessing == Preprocessing("rgb", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    assert (card.sha256, card.embedding_dim, card.cost, card.score, card.training) == (None,) * 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licens": "MIT"}, r"card\.yaml has the unknown key 'licens'; did you mean 'licence'"),
        ({"cost": {"macs": 1, "flop": 2, "parameters": 3}}, r"cost has the unknown key 'flop'; did you mean 'flops'"),
        ({"score": {"acuracy": 1}}, "did you mean 'accuracy'"),
        ({"preprocessing": {"order": "rgb", "means": 1}}, "did you mean 'mean'"),
        ({"preprocessing": {"order": "rgb", "mean": [0, 0, 0]}}, "'std' is missing"),
        ({"preprocessing": {"order": "rgb", "mean": [0, 0], "std": [1, 1, 1]}}, r"mean is \[0, 0\]; expected three"),
        ({"preprocessing": {"order": "rbg", "mean": [0, 0, 0], "std": [1, 1, 1]}}, "'rbg'; expected 'rgb' or 'bgr'"),
        ({"preprocessing": {"order": "rgb", "mean": [0, 0, 0], "std": [1, 0, 1]}}, "three positive"),
        ({"preprocessing": "rgb"}, "expected a table"),
        ({"source": "drop"}, "'source' is missing"),
        ({"cost": {"macs": 1}}, "'flops' is missing"),
        ({"embedding_dim": "512"}, "embedding_dim is '512'; expected int or null"),
        ({"embedding_dim": True}, "embedding_dim is True; expected int or null"),
        ({"name": 5}, "name is 5; expected str"),
    ],
)
def test_reading_is_strict(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_card(write(tmp_path / "card.yaml", **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"a: [1", b"- 1", b"", b"\xff\xfe\xfa", b"!!python/object/apply:os.getcwd []"])
def test_what_is_no_card_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "card.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"card\.yaml") as caught:
        read_card(tmp_path / "card.yaml")
    assert "\n" not in str(caught.value)


def test_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml does not exist"):
        read_card(tmp_path / "none.yaml")


def test_hash_is_checked_where_the_card_gives_one(tmp_path: Path) -> None:
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    check_hash(read_card(write(tmp_path / "a", sha256=digest.upper())), NetworkFile(weights))
    check_hash(read_card(write(tmp_path / "b")), NetworkFile(weights))
    with pytest.raises(UserError, match=r"w\.pth has another hash than its card says"):
        check_hash(read_card(write(tmp_path / "c", sha256="f" * 64)), NetworkFile(weights))


def test_the_nearest_card_wins(tmp_path: Path) -> None:
    weights = tmp_path / "net.onnx"
    assert card_beside(weights) is None
    for name in ("card.yaml", "net.card.yaml", "net.onnx.card.yaml"):
        (tmp_path / name).touch()
        assert card_beside(weights) == tmp_path / name


CARDS = sorted(path.stem for path in (Path(__file__).parents[2] / "teachers" / "cards").glob("*.yaml"))
CHOICES = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "teacher").glob("*.yaml"))


def test_every_teacher_has_a_shipped_card() -> None:
    """But for those that only exist to grow from, which are trained here and then have a card of their own."""
    assert {*CARDS, "none"} == {name for name in CHOICES if not name.endswith("_shallow")}


@pytest.mark.parametrize("name", CARDS)
def test_shipped_cards_are_whole(name: str) -> None:
    card = shipped_card(name)
    assert card is not None
    assert card.name == name
    assert card.sha256 is None


def test_the_page_of_large_networks_has_the_costs_of_the_cards() -> None:
    """Each row: parameters, GMAC and counter-GFLOPs of the card; with folded norms a little more, and legal."""
    page = (Path(__file__).parents[2] / "docs" / "teachers.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.endswith("| pass |")]
    assert {row[0].strip("`") for row in rows} == set(CARDS) - {"onnx"}
    for name, _, parameters, macs, flops, folded, _ in rows:
        card = shipped_card(name.strip("`"))
        assert card is not None
        assert card.cost is not None
        assert (parameters, macs) == (f"{card.cost.parameters:,}", f"{card.cost.macs / 1e9:.2f}")
        assert flops == f"{card.cost.flops / 1e9:.3f}"
        assert float(flops) < float(folded) < min(30, 1.002 * float(flops))


def test_unknown_name_has_no_shipped_card() -> None:
    assert shipped_card("r34") is None


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot write .*card\.yaml"):
        write_card(FULL, tmp_path / "card.yaml")
    assert list(tmp_path.iterdir()) == []
