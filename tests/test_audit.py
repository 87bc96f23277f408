"""The audit of the pinned packages: what it makes of answers, and that nobody to ask is no failure."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

WEAK = {"id": "GHSA-1", "fix_versions": ["1.2", "2.0"], "aliases": [], "description": "long"}


@pytest.fixture(scope="module")
def audit(repository: Path) -> ModuleType:
    spec = spec_from_file_location("audit", repository / ".ci/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_weakness_is_told_with_the_version_that_mends_it(audit: ModuleType):
    dependencies = [
        {"name": "a", "version": "1.0", "vulns": [WEAK, {**WEAK, "id": "GHSA-2", "fix_versions": []}]},
        {"name": "b", "version": "3", "vulns": []},
        {"name": "c", "skip_reason": "not found"},
    ]
    assert audit.verdict({"dependencies": dependencies}) == (
        [
            "not asked   c: not found",
            "weakness    a 1.0: GHSA-1, mended in 1.2, 2.0",
            "weakness    a 1.0: GHSA-2, mended in no version yet",
            "audit: 2 packages asked about, 2 weaknesses known",
        ],
        1,
    )


def test_no_weakness_passes_and_no_answer_is_no_pass(audit: ModuleType):
    known = {"name": "b", "version": "3", "vulns": []}
    assert audit.verdict({"dependencies": [known]}) == (["audit: 1 packages asked about, 0 weaknesses known"], 0)
    lines, status = audit.verdict({"dependencies": [{"name": "c", "skip_reason": "not found"}]})
    assert (lines[-1], status) == ("audit skipped: none of the packages is known there", 0)


def audited(repository: Path, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(repository / ".ci/audit.py"), str(path)]
    return subprocess.run(words, env={**os.environ, **environment}, capture_output=True, text=True)


def test_without_a_network_it_says_so_and_fails_nothing(repository: Path, tmp_path: Path):
    (tmp_path / "pinned.txt").write_text("jinja2==2.4.1\n")
    nowhere = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "all")}
    done = audited(repository, tmp_path / "pinned.txt", **nowhere, **{k.upper(): v for k, v in nowhere.items()})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("audit skipped: ")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.network
def test_an_old_version_is_found_to_be_weak(repository: Path, tmp_path: Path):
    (tmp_path / "pinned.txt").write_text("jinja2==2.4.1\n")
    done = audited(repository, tmp_path / "pinned.txt")
    assert done.returncode == 1, done.stdout
    assert "weakness    jinja2 2.4.1" in done.stdout
