"""The audit of the pinned packages: how it reads answers, and that a missing index is no failure."""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import Distribution
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


def test_no_weakness_passes_and_no_answer_is_told(audit: ModuleType):
    known = {"name": "b", "version": "3", "vulns": []}
    assert audit.verdict({"dependencies": [known]}) == (["audit: 1 packages asked about, 0 weaknesses known"], 0)
    lines, status = audit.verdict({"dependencies": [{"name": "c", "skip_reason": "not found"}]})
    assert status == 0
    assert lines == ["audit skipped: the index tells of none of the 1 packages; not asked   c: not found"]


@pytest.fixture
def package(tmp_path: Path) -> Distribution:
    """An installed package of two files, one of them without a hash, as compiled ones are."""
    folder = tmp_path / "Some_Package-1.0.dist-info"
    folder.mkdir()
    (tmp_path / "some.py").write_bytes(b"x = 1\n")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: Some_Package\nVersion: 1.0+cpu\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).rstrip(b"=").decode()
    (folder / "RECORD").write_text(f"some.py,sha256={digest},6\n__pycache__/some.pyc,,\n")
    return Distribution.at(folder)


def test_a_package_as_it_was_packed_and_pinned(audit: ModuleType, package: Distribution):
    assert list(audit.departures(package, {"some-package": "1.0"})) == []


def test_another_version_and_one_that_is_not_pinned(audit: ModuleType, package: Distribution):
    told = "departure   some-package 1.0+cpu is installed; expected"
    assert list(audit.departures(package, {"some.package": "1.1"})) == [f"{told} 1.1"]
    assert list(audit.departures(package, {})) == [f"{told} none: it is not pinned"]


def test_a_file_that_was_changed_after_it_was_installed(audit: ModuleType, package: Distribution, tmp_path: Path):
    (tmp_path / "some.py").write_bytes(b"x = 2\n")
    (line,) = audit.departures(package, {"some-package": "1.0"})
    assert (
        line == f"departure   some-package 1.0+cpu: {tmp_path / 'some.py'} is not the file that the package came with"
    )


def test_without_a_network_it_says_so(audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "pinned.txt").write_text("jinja2==2.4.1\n")
    for kind in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(kind, "http://127.0.0.1:9")
        monkeypatch.setenv(kind.upper(), "http://127.0.0.1:9")
    said = audit.asked(tmp_path / "pinned.txt")
    assert isinstance(said, str)
    assert "Error" in said
    assert "\n" not in said


@pytest.mark.network
def test_an_old_version_is_found_to_be_weak(audit: ModuleType, tmp_path: Path):
    (tmp_path / "pinned.txt").write_text("jinja2==2.4.1\n")
    said = audit.asked(tmp_path / "pinned.txt")
    assert isinstance(said, dict), said
    lines, status = audit.verdict(said)
    if "skipped" in lines[-1]:
        pytest.skip(lines[-1])
    assert status == 1
    assert lines[0].startswith("weakness    jinja2 2.4.1")
