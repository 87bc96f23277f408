from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.cli import main
from distill.config.compose import load
from distill.errors import UserError
from distill.files.atomic import write_json, write_page
from distill.redact import (
    HIDDEN,
    RedactingFormatter,
    command_line,
    flatten,
    redact,
    redact_known,
    redact_text,
    secret_in,
)
from distill.registry.history import EventKind, RegistryEvent
from distill.registry.registry import Registry
from distill.report.evaluation_page import EvaluationPage, write_evaluation
from distill.report.model_card import ModelCard, write_model_card
from distill.tracking.outbox import Outbox, OutboxEvent
from distill.tracking.wandb_run import WandbRun
from distill.tracking.wandb_session import Shield
from distill.tracking.wandb_settings import TrackingMode, WandbSettings
from distill.tracking.wandb_variables import read_variables
from distill.types import Preprocessing
from teachers.card import Card, write_card

KEY = "PLANTED-0123456789"


@pytest.mark.parametrize(
    "key", ["api_key", "WANDB_API_KEY", "token", "hf_token", "password", "client-secret", "apikey"]
)
def test_secrets_are_hidden_at_any_depth(key: str) -> None:
    nested = {"a": {key: "PLANTED"}, "b": [{"c": {key: ["PLANTED"]}}], "d": [f"x.{key}=PLANTED"]}
    found = dict(flatten(nested))
    assert "PLANTED" not in str(found)
    assert found[f"a.{key}"] == found[f"b.0.c.{key}"] == HIDDEN


def test_the_rest_is_kept() -> None:
    found = dict(flatten({"a": {"b": [40, 80], "c": None, "d": True}, "key": 3, "e": {}, "f": 1e-3, "g": "text"}))
    assert found == {"a.b": "[40, 80]", "a.c": "null", "a.d": "true", "key": "3", "e": "{}", "f": "0.001", "g": "text"}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("make distill tracking.api_key=PLANTED seed=1", f"make distill tracking.api_key={HIDDEN} seed=1"),
        ("run --token PLANTED --seed 1", f"run --token {HIDDEN} --seed 1"),
        ("ARGS=\"a.secret='PLANTED two' b=1\"", f'ARGS="a.secret={HIDDEN} b=1"'),
        ("http://me:PLANTED@host/data", f"http://{HIDDEN}@host/data"),
        ("http://me:PLANTED@more@host/data", f"http://{HIDDEN}@host/data"),
        ("a token of respect, seed=1", "a token of respect, seed=1"),
        ("the per-token loss", "the per-token loss"),
    ],
)
def test_command_lines(text: str, hidden: str) -> None:
    assert redact_text(text) == hidden


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("s3://KEY:PLANTED@bucket/faces", "a login or a signature in an address"),
        ("https://host/x?sig=PLANTED&a=1", "a login or a signature in an address"),
        ("https://host/x?a=1&X-Amz-Signature=PLANTED", "a login or a signature in an address"),
        ("runs/PLANTED-VALUE/x", "the value of MY_TOKEN"),
        ("https://host/a@b", None),
        ("file:///data/me@home", None),
        ("me@host:/faces", None),
        ("/srv/keys/token.pem", None),
        ("true", None),
    ],
)
def test_which_secret_a_value_holds(monkeypatch: pytest.MonkeyPatch, text: str, what: str | None) -> None:
    monkeypatch.setenv("MY_TOKEN", "PLANTED-VALUE")
    monkeypatch.setenv("MY_TOKEN_FILE", "/srv/keys/token.pem")
    monkeypatch.setenv("USE_TOKENS", "true")
    assert secret_in(text) == what
    assert ("PLANTED" in redact_text(text)) is False


def test_of_two_secrets_the_longer_is_hidden_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "PLANTED-1")
    monkeypatch.setenv("B_TOKEN", "PLANTED-1-LONGER")
    assert redact_known("x PLANTED-1-LONGER PLANTED-1") == f"x {HIDDEN} {HIDDEN}"


def _log(place: Path, text: str) -> str:
    try:
        raise ValueError(text)
    except ValueError:
        record = logging.LogRecord("distill", logging.INFO, "", 1, text, None, sys.exc_info())
    return RedactingFormatter().format(record)


def _page(place: Path, text: str) -> str:
    write_page(place / "report.html", f"<p>{text}</p>")
    return (place / "report.html").read_text()


def _command(place: Path, text: str) -> str:
    return command_line()


def _outbox(place: Path, text: str) -> str:
    return (
        Outbox(place)
        .append(OutboxEvent.make("alert", "verdict", 1, {"title": text, "said": [{"why": text}]}))
        .read_text()
    )


def _wandb(place: Path, text: str) -> str:
    run = WandbRun(place, WandbSettings(mode=TrackingMode.disabled), {"a": {"b": [text]}, "api_key": text})
    return json.dumps(run._config)


def _variable(place: Path, text: str) -> str:
    return read_variables({"WANDB_API_KEY": text}).report


def _failure(place: Path, text: str) -> str:
    with Shield() as shield:
        raise OSError(text)
    return str(shield.failure)


def _json(place: Path, text: str) -> str:
    write_json(place / "metrics.json", {"command": text, "reasons": [(text, 0.5)]})
    return (place / "metrics.json").read_text()


def _model_card(place: Path, text: str) -> str:
    card = ModelCard(
        *("vargnet", text, "2026-01-01", text, "student.onnx", 17, 512, Preprocessing(), "0" * 64, "light"),
        **{"passed": False, "reasons": [text], "cost": [], "scores": None, "parity": None, "data": text},
        **{"teacher": text, "licences": [text], "limits": [text]},
    )
    write_model_card(place / "card.md", card)
    return (place / "card.md").read_text()


def _teacher_card(place: Path, text: str) -> str:
    write_card(Card(text, "url", "licence", Preprocessing(), training={"command": text}), place / "card.yaml")
    return (place / "card.yaml").read_text()


def _evaluation_page(place: Path, text: str) -> str:
    page = EvaluationPage(text, "light", "TPR", "2026-01-01", False, [text], [(text, "1", "2")], [text], [], text)
    write_evaluation(place / "evaluation.md", page)
    return (place / "evaluation.md").read_text()


def _registry_facts(place: Path, text: str) -> str:
    registry = Registry(place / "registry")
    (place / "student.onnx").write_bytes(b"student")
    version = registry.add({"student.onnx": place / "student.onnx"}, {"data": [text]})
    return (version.folder / "version.json").read_text()


def _registry_event(place: Path, text: str) -> str:
    return RegistryEvent(EventKind.promote, "v0001", "2026-01-01", 1, None, {"text": text}).to_json()


EXITS = [
    *(_log, _page, _command, _outbox, _wandb, _variable, _failure),
    *(_json, _model_card, _teacher_card, _evaluation_page, _registry_facts, _registry_event),
]


@pytest.mark.parametrize("leave", EXITS)
@pytest.mark.parametrize("variable", ["WANDB_API_KEY", "MY_TOKEN", "DEPLOY_KEY", "SECRET_URL", "DB_PASSWORD"])
def test_a_planted_key_leaves_by_no_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, leave: Callable[[Path, str], str]
) -> None:
    monkeypatch.setenv(variable, KEY)
    monkeypatch.setattr(sys, "argv", ["face-distill distill", f"run.name={KEY}"])
    left = leave(tmp_path, f"before {KEY} after" if leave is not _variable else KEY)
    assert KEY not in left
    assert HIDDEN in left


def test_json_hides_what_only_its_name_its_place_or_its_escape_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_KEY", quoted := 'a"quoted\\key')
    content = {"token": "PLANTED", "source": "https://me:PLANTED@host/a", "command": quoted, "rows": [1, None]}
    write_json(tmp_path / "a.json", content)
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == {"token": HIDDEN, "source": f"https://{HIDDEN}@host/a", "command": HIDDEN, "rows": [1, None]}


def test_a_configuration_with_a_planted_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEPLOY_KEY", KEY)
    with pytest.raises(UserError, match=r"run.name holds the value of DEPLOY_KEY"):
        load("distill", [f"run.name={KEY}"])
    assert main(["distil", KEY]) == 2
    assert main([KEY]) == 2
    said = capsys.readouterr()
    assert KEY not in said.out + said.err


def test_a_tree_keeps_all_that_is_no_secret() -> None:
    tree: dict[str, Any] = {"a": (1, None, True), "b": {"lr": 0.1, "token": None, "api_key": ""}, "key": "f.pem"}
    assert redact(tree) == {
        "a": [1, None, True],
        "b": {"lr": 0.1, "token": None, "api_key": HIDDEN},
        "key": "f.pem",
    }
