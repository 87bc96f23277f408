"""A wheel works outside of the checkout: code, configuration and the teachers' cards travel with it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(repository)]
    done = subprocess.run(build, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, *arguments: str) -> str:
    """Standard output of Python in an empty folder, with the unpacked wheel before anything that is installed."""
    elsewhere = site.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, *arguments], cwd=elsewhere, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_yaml_is_inside(site: Path, repository: Path):
    for source, target in (
        (repository / "conf", site / "distill/conf"),
        (repository / "teachers/cards", site / "teachers/cards"),
    ):
        shipped = {p.relative_to(source): p.read_bytes() for p in source.rglob("*.yaml")}
        assert shipped
        assert shipped == {p.relative_to(target): p.read_bytes() for p in target.rglob("*.yaml")}


def test_tests_and_data_are_not(site: Path):
    assert {p.name for p in site.iterdir() if not p.name.endswith(".dist-info")} == {"distill", "teachers"}


def test_configuration_composes_outside_of_the_checkout(site: Path):
    text = run(site, "-m", "distill", "check", "model=x.onnx", "protocol=iqiyi_light", "--cfg", "job")
    assert "name: iqiyi_light" in text
    assert "max_flops" in text


@pytest.mark.slow
def test_cards_are_found_outside_of_the_checkout(site: Path):
    code = "import teachers.card as c, distill.config.compose as d; print(c.shipped_card('r152').name, d.conf_dir())"
    assert run(site, "-c", code).split() == ["r152", str(site / "distill/conf")]
