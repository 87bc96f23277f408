from __future__ import annotations

import pytest

from distill.redact import HIDDEN, flatten, redact_text, secret_in


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
        ("a token of respect, seed=1", "a token of respect, seed=1"),
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
