"""A key that a user has planted, in the environment or by mistake on the command line, is nowhere afterwards.

What is written meanwhile is no other user's to change either, whatever the umask.
"""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from distill.cli import main
from reference.small_data import picture

Options = Callable[..., list[str]]
Refused = Callable[..., str]

KEY = "5ec4e7" + "0f1ed/ace+" * 3 + "ca11"
"""As long as one of W&B, with characters that addresses and base64 spell otherwise."""
PASSWORD = "hunter2-and-longer"


def spellings(secret: str) -> Iterator[bytes]:
    """The secret as it is, as addresses have it, and as base64 has its whole triples, wherever they begin."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + secret.encode())
        yield encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]


def places_of(secret: str, *folders: Path) -> list[str]:
    """Files below the folders that hold the secret in any spelling, in their names or inside."""
    words = list(spellings(secret))
    paths = [path for folder in folders for path in folder.rglob("*")]
    return [
        str(path)
        for path in paths
        if any(word in os.fsencode(path) or (path.is_file() and word in path.read_bytes()) for word in words)
    ]


def run(home: Path, *arguments: str, umask: int = 0o022, **environment: str) -> subprocess.CompletedProcess[str]:
    """A job in another process, with a home of its own."""
    home.mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return subprocess.run(
        [sys.executable, "-m", "distill", *arguments],
        env=kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")} | environment,
        umask=umask,
        capture_output=True,
        text=True,
    )


def writable_for_others(folder: Path) -> list[str]:
    written = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    return [str(path) for path in written if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)]


def test_the_search_finds_what_it_looks_for(tmp_path: Path):
    for number, content in enumerate(spellings(KEY)):
        (tmp_path / str(number)).write_bytes(b"before" + content + b"after")
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / PASSWORD).touch()
    assert len(places_of(KEY, tmp_path)) == 5
    assert places_of(PASSWORD, tmp_path) == [str(tmp_path / "wandb" / PASSWORD)]


@pytest.mark.slow
def test_a_planted_key_is_nowhere_after_a_run_and_nothing_is_writable_for_others(options: Options, tmp_path: Path):
    words = ["distill", *options("tracking=wandb", f"+hydra.job.env_set.MY_TOKEN={PASSWORD}", "run.name=planted")]
    done = run(tmp_path / "home", *words, umask=0, WANDB_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "planted"
    assert (folder / "report.html").exists()
    assert list((folder / "wandb").glob("offline-run-*/*.wandb")), "tracked"
    assert "(hidden)" in (folder / "metrics.json").read_text(), "the command is told without it"
    for secret in (KEY, PASSWORD):
        assert places_of(secret, tmp_path) == []
        assert secret not in done.stdout + done.stderr
    assert writable_for_others(tmp_path / "runs") == []


@pytest.mark.slow
def test_a_planted_key_is_nowhere_after_a_night(options: Options, root: Path, tmp_path: Path):
    person = tmp_path / "drops" / "2026-01-01"
    for number in range(30):
        (person / f"person-{number % 6}").mkdir(parents=True, exist_ok=True)
        (person / f"person-{number % 6}" / f"{number}.jpg").write_bytes(picture(number % 6, number))
    kept = [word for word in options() if not word.startswith(("data.", "run.", "tracking"))]
    service = tmp_path / "nightly"
    words = [f"drops={tmp_path / 'drops'}", f"benchmarks={root}", f"root={service}", "trainer@continued=smoke"]
    margins = [f"judge.margin.{figure}=0.99" for figure in ("accuracy", "auc", "tpr_at_fpr")]
    judged = [*margins, "judge.floor=0.01", "judge.resamples=200", f"+hydra.job.env_set.MY_TOKEN={PASSWORD}"]
    done = run(tmp_path / "home", "nightly", *kept, *words, *judged, "tracking=wandb", umask=0, WANDB_API_KEY=KEY)
    assert done.returncode in (10, 20), done.stderr
    assert (service / "nights/0001/report.html").exists()
    for secret in (KEY, PASSWORD):
        assert places_of(secret, tmp_path) == []
        assert secret not in done.stdout + done.stderr
    assert writable_for_others(service) == []


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("data.root", f"https://me:{PASSWORD}@host/faces", "a login or a signature in an address"),
        ("teacher.weights", f"https://{PASSWORD}@host/t.onnx", "a login or a signature in an address"),
        ("data.root", f"https://host/faces?X-Amz-Signature={PASSWORD}", "a login or a signature in an address"),
        ("run.name", KEY, "the value of WANDB_API_KEY"),
        ("tracking.tags[1]", f"[a, x-{KEY}]", "the value of WANDB_API_KEY"),
    ],
)
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(
    options: Options, refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, value: str, what: str
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    quoted = value if value.startswith("[") else f"'{value}'"
    line = refused("distill", *options(f"{key.partition('[')[0]}={quoted}"))
    assert line == f"{key} holds {what}; expected no secret in a configuration, which every result repeats"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "word",
    [
        f"tracking.api_key={PASSWORD}",
        f"+tracking.api_key={PASSWORD}",
        f"wandb_api_key={PASSWORD}",
        f"tracking.token={PASSWORD} and more",
        f"seed={KEY}",
        f"teacher={KEY}",
        f"trainer.precision={KEY}",
    ],
)
def test_a_message_about_a_mistake_repeats_no_secret(
    options: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert main(["distill", *options(word)]) == 2
    said = "".join(capsys.readouterr())
    assert said.startswith("error: ")
    assert PASSWORD not in said
    assert KEY not in said


def test_a_file_with_a_secret_may_be_named(options: Options, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", str(tmp_path))
    monkeypatch.setenv("A_TOKEN", "short")
    assert main(["distill", *options(f"data.root={tmp_path / 'short'}")]) == 2
    assert "no such folder" in capsys.readouterr().err
