"""The named recipes (docs/recipes.md): their figures, any data, and every one from faces to a checked ONNX file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from distill.cli import main
from distill.config.build import build
from distill.config.compose import conf_dir, load
from distill.data.pairs import read_pairs, write_pairs
from distill.data.recordio import RecordIOSet
from reference.recordio import payload, write_set
from reference.small_data import SMALL_STUDENT, SMALL_TEACHER
from reference.torch_counter import torch_cost

HEADER = re.compile(r"^# make (distill|teacher) experiment=(\w+)\b.*: \w[^#]*(?:^#[^#\n]*\n)*^# Source: ", re.MULTILINE)
JOBS = {"distill": "distill", "teacher": "teach"}


def _recipes() -> dict[str, str]:
    """The job of every experiment whose header names a source."""
    texts = {path.stem: path.read_text("utf-8") for path in sorted((conf_dir() / "experiment").glob("*.yaml"))}
    sourced = {name: text for name, text in texts.items() if "# Source: " in text}
    commands = {name: HEADER.search(text) for name, text in sourced.items()}
    assert all(found is not None and found[2] == name for name, found in commands.items()), "header without a command"
    return {name: JOBS[found[1]] for name, found in commands.items() if found}


RECIPES = _recipes()
QUICK = ("trainer=smoke", "trainer.batch_size=4", "trainer.images=16", "tracking=none")

FIGURES: dict[str, Mapping[str, Any]] = {
    "deepglint_light": {
        "student.name": "vargnet",
        "objective.terms.margin.weight": 1.0,
        "objective.terms.margin.loss.margin_rad": 0.5,
        "objective.terms.margin.loss.scale": 64.0,
        "objective.terms.unit_gap.weight": 7.0,
        "protocol.name": "deepglint_light",
    },
    "vargfacenet_paper": {
        "student.name": "vargfacenet",
        "trainer.name": "long",
        "objective.terms.unit_gap.weight": 7.0,
    },
    "deepglint_large": {
        "teacher.name": "r152",
        "objective.terms.margin.loss._target_": "distill.losses.margin.CosFace",
        "objective.terms.margin.loss.margin": 0.4,
    },
    "iqiyi_light": {
        "student.name": "vargnet_quality",
        "objective.terms.quality.weight": 1.0,
        "protocol.name": "iqiyi_light",
        "protocol.fusion": "norm",
    },
    "iqiyi_large_recogniser": {
        "teacher.network.blocks": [20, 30, 20],
        "objective.terms.margin.loss._target_": "distill.losses.margin.ArcNegFace",
    },
    "iqiyi_large": {
        "student.network.recogniser.blocks": [20, 30, 20],
        "student.network.learning": "frozen",
        "student.network.quality.widths": [8, 16, 32, 48],
        "student.init": "weights/polyface_video/weights.safetensors",
        "objective.terms.quality.loss.target": "centre",
        "protocol.name": "iqiyi_large",
        "protocol.fusion": "qan",
    },
    "adadistill": {
        "objective.terms.adaptive_centres.loss.kind": "ada",
        "objective.terms.adaptive_centres.loss.margin": 0.4,
    },
    "ekd": {
        "objective.terms.margin.loss.margin_rad": 0.4,
        "objective.terms.positive_ranks.weight": 36 * 0.02,
        "objective.terms.negative_ranks.weight": 36 * 0.01,
        "objective.terms.negative_ranks.loss.count": 2000,
        "objective.terms.negative_ranks.loss.temperature": 0.01,
        "objective.terms.negative_ranks.loss.momentum": 0.01,
    },
    "relational": {"objective.terms.distances.weight": 1.0, "objective.terms.angles.weight": 2.0},
    "frozen_classifier": {
        "objective.terms.frozen_centres.loss.kind": "arc",
        "objective.terms.frozen_centres.loss.margin": 0.5,
    },
    "margin_distillation": {
        "objective.terms.teacher_margins.loss.lowest_rad": 0.2,
        "objective.terms.teacher_margins.loss.range_rad": 0.3,
    },
}
"""What docs/recipes.md and the headers promise."""


def test_the_page_lists_every_recipe_with_its_command(repository: Path):
    rows = re.findall(r"^\| `(\w+)` \|.*\| `([^`|]+)` \|$", (repository / "docs/recipes.md").read_text(), re.MULTILINE)
    words = {"distill": "distill", "teach": "teacher"}
    expected = {name: f"make {words[job]} experiment={name}" for name, job in RECIPES.items()}
    assert {name: command.split(" student.init")[0] for name, command in rows} == expected


@pytest.mark.parametrize("name", RECIPES)
def test_its_header_names_the_differences(name: str):
    assert "\n# Differences: " in (conf_dir() / "experiment" / f"{name}.yaml").read_text("utf-8")


@pytest.mark.parametrize(("name", "job"), RECIPES.items())
def test_it_takes_any_faces(name: str, job: str):
    own = ["data=folder", "data.root=/faces"]
    plain, found = asdict(load(job, own).data), asdict(load(job, [*own, f"experiment={name}"]).data)
    assert {**found, "augment": None} == {**plain, "augment": None}


@pytest.mark.parametrize(("name", "job"), RECIPES.items())
def test_it_has_the_figures_of_its_source(name: str, job: str):
    found = asdict(load(job, [f"experiment={name}"]))
    assert {path: _at(found, path) for path in FIGURES[name]} == FIGURES[name]


def _at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


def test_an_onnx_file_has_no_network_to_put_the_quality_beside(
    teacher: Path, root: Path, tmp_path: Path, refused: Callable[..., str]
):
    given = ["teacher=onnx", f"teacher.weights={teacher}", f"data.root={root}", f"run.root={tmp_path / 'runs'}"]
    line = refused("distill", "experiment=iqiyi_large", *given, *QUICK)
    assert line.startswith("student.network.recogniser is None; expected a network, which an ONNX file or teacher=none")


def test_on_the_embedded_faces_the_large_network_grows_from_r18():
    found = load("teach", ["experiment=[teach_synthfaces_large_r152,deepglint_large]"])
    assert (found.init_teacher, found.objective.terms["margin"].loss["margin"]) == ("r18", 0.4)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "gflops"), [(256, 23.99), (512, 24.03)])
def test_the_large_networks_for_videos_cost_together_what_was_published(width: int, gflops: float):
    embedding = [f"teacher.network.embedding_dim={width}", "teacher.network.feature=raw"]
    options = load("distill", ["experiment=iqiyi_large", *embedding]).student.network
    with torch.device("meta"):
        network = build(options, "student.network")
    assert round(torch_cost(network.to_empty(device="cpu")).flops / 1e9, 2) == gflops


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The embedded faces, eighty of them; a network that has learned nothing is their teacher."""
    root = tmp_path_factory.mktemp("embedded") / "synthfaces"
    reader = [f"data.reader.{option}" for option in ("identities=20", "pictures=4", "pairs=40")]
    return ["data=synthfaces", f"data.root={root}", *reader, f"data.pairs={root / 'synthfaces_dev.bin'}"]


@pytest.fixture(scope="session")
def real(faces_root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Forty photographs of ten people and forty pairs of others, of the data root."""
    folder, faces = tmp_path_factory.mktemp("real"), RecordIOSet(faces_root / "labelled")
    people = np.flatnonzero(np.bincount(faces.labels) >= 4)[:10]
    rows = [row for person in people for row in np.flatnonzero(faces.labels == person)[:4]]
    write_set(folder, {n: payload(faces.read(int(row)), float(n // 4)) for n, row in enumerate(rows)}, len(people))
    pairs = read_pairs(faces_root / "lfw_dev.bin")
    chosen = [kind[k] for k in range(20) for kind in (np.flatnonzero(pairs.same), np.flatnonzero(~pairs.same))]
    crops = [pairs.images[2 * pair + side].permute(1, 2, 0).numpy() for pair in chosen for side in (0, 1)]
    encoded = [cv2.imencode(".png", crop[..., ::-1])[1].tobytes() for crop in crops]
    write_pairs(folder / "lfw_some.bin", encoded, pairs.same[chosen].tolist())
    return ["data=recordio", f"data.root={folder}"]


RECOGNISER = tuple(option.replace("network.", "network.recogniser.") for option in SMALL_STUDENT)
"""The small student inside of one with a quality."""
WIDE = tuple(option.replace("=16", "=512") for option in SMALL_TEACHER)
"""A small Large network with the embedding that the protocols ask for."""


@pytest.mark.slow
@pytest.mark.parametrize("faces", ["embedded", "real"])
@pytest.mark.parametrize(("name", "job"), RECIPES.items())
def test_it_runs_to_the_end(
    name: str, job: str, faces: str, teacher: Path, tmp_path: Path, request: pytest.FixtureRequest
):
    """Four steps: what is taught leaves weights, what is distilled passes its protocol as an ONNX file."""
    weights = tmp_path / "large" / "weights.safetensors"
    shared = [*request.getfixturevalue(faces), *QUICK, f"run.root={tmp_path / 'runs'}", "run.name=recipe"]
    large = [*WIDE, f"teacher.weights={weights}"]
    if job == "teach":
        assert main(["teach", f"experiment={name}", *large, *shared]) == 0
        assert weights.stat().st_size > 0
        return
    small: list[str] = ["teacher=onnx", f"teacher.weights={_teacher(faces, teacher, request)}", *SMALL_STUDENT]
    if name == "iqiyi_large":
        assert main(["teach", "experiment=iqiyi_large_recogniser", *large, *shared, "run.name=large"]) == 0
        small = large
    elif name == "iqiyi_light":
        small = [*small[:2], *RECOGNISER]
    assert main(["distill", f"experiment={name}", *small, "teacher.check=false", *shared]) == 0
    metrics = json.loads((tmp_path / "runs" / "recipe" / "metrics.json").read_text())
    assert metrics["verdict"] == "pass"
    terms = {key.removeprefix("raw/") for key in metrics["losses"] if key.startswith("raw/")}
    assert terms == set(load(job, [f"experiment={name}"]).objective.terms)
    assert all(np.isfinite(value) for value in metrics["losses"].values())
    assert (tmp_path / "runs" / "recipe" / "frame_quality.onnx").exists() == (name == "iqiyi_large")


def _teacher(faces: str, tiny: Path, request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue("faces_root") / "reference_teacher.onnx" if faces == "real" else tiny
