"""Every shipped configuration composes, and every network in it has only options that exist."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

import cv2
import numpy as np
import pytest
import torch
import yaml

from distill.config.build import build
from distill.config.compose import JOBS, conf_dir, load
from distill.config.groups import ProtocolConf, TrainerConf
from distill.config.scoring_jobs import JudgeConf
from distill.config.service_jobs import NightlyConf, RollbackConf, VettingConf
from distill.config.training_jobs import DistillConf, TeachConf
from distill.errors import UserError
from distill.nightly.freeze import freeze
from distill.nightly.manifest import MANIFEST
from distill.nightly.vetting_result import Verdicts, write_verdicts
from distill.protocol.published import Published
from distill.registry.policy import Policy
from distill.runs.assemble import augmentation, build_objective, labelled_faces, length, machine_for, recipe
from distill.tracking.wandb_settings import WandbSettings
from distill.training.optim import build_optimizer
from distill.training.settings import LearningRate, OptimizerSettings
from distill.types import FaceNetwork, LossDims, LossInputs, Output
from reference.recordio import payload, write_set

NEEDED = {
    "distill": [],
    "teach": [],
    "signals": [],
    "export": ["run=runs/latest"],
    "check": ["model=x.onnx"],
    "verify": ["model=x.onnx", "pairs=x.bin"],
    "embed": ["model=x.onnx", "list=x.txt", "out=x.features"],
    "score": ["features=x.bin", "labels=x.txt"],
    "evaluate": ["model=x.onnx", "data.root=/faces"],
    "ijb": ["model=x.onnx", "data.root=IJBC"],
    "curves": [],
    "judge": ["challenger=x.onnx", "pairs=x.bin"],
    "nightly": ["drops=/drops"],
    "nights": [],
    "registry": [],
    "rollback": [],
    "contact_sheet": [],
}
OWN_FACES = {("data", name): ["data.root=/faces"] for name in ("recordio", "folder", "frozen")}
ALSO_NEEDED = {("teacher", "onnx"): ["teacher.weights=x.onnx"], **OWN_FACES}
GROUPS = sorted(p.name for p in conf_dir().iterdir() if p.is_dir())
CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((conf_dir() / group).glob("*.yaml"))]


def test_the_groups_are_those_of_the_main_job():
    assert set(GROUPS) - {"experiment"} == {
        "data",
        "objective",
        "protocol",
        "student",
        "teacher",
        "tracking",
        "trainer",
    }


@pytest.mark.parametrize("job", JOBS)
def test_every_job_composes(job: str):
    assert isinstance(load(job, NEEDED[job]), JOBS[job].conf)


def test_every_root_file_is_a_job():
    assert {p.stem for p in conf_dir().glob("*.yaml")} == {*JOBS, "base"}


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes(group: str, choice: str):
    job = "teach" if choice.startswith("teach") and group == "experiment" else "distill"
    conf = load(job, [f"{group}={choice}", *NEEDED[job], *ALSO_NEEDED.get((group, choice), [])])
    if group != "tracking":  # whose name is that of a run
        assert getattr(getattr(conf, group, None), "name", choice) == choice


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group in ("student", "teacher")])
def test_every_network_builds(choice: str):
    group = "student" if ("student", choice) in CHOICES else "teacher"
    conf = load("distill", [f"{group}={choice}", *NEEDED["distill"], *ALSO_NEEDED.get((group, choice), [])])
    options = getattr(conf, group).network
    if options is None:
        assert choice in ("onnx", "none")
        return
    with torch.device("meta"):  # shapes without weights: the numbers are those of tests/students and tests/teachers
        network = build(options, f"{group}.network")
    assert isinstance(network, FaceNetwork)
    assert network.embedding_dim == options.get("recogniser", options)["embedding_dim"]


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group == "objective"])
def test_every_objective_builds_and_has_a_gradient(choice: str):
    stages = ("stage2", "stage3", "stage4")
    sizes = LossDims(8, 6, 5, dict.fromkeys(stages, 4), dict.fromkeys(stages, 3))
    objective = build_objective(load("distill", [f"objective={choice}", *NEEDED["distill"]]).objective, sizes)
    embedding = torch.randn(4, 8, requires_grad=True)
    teacher = Output(torch.randn(4, 6), {stage: torch.randn(4, 3, 2, 2) for stage in stages})
    student = Output(embedding, {stage: torch.randn(4, 4, 2, 2) for stage in stages})
    step = LossInputs(torch.tensor([0, 1, 2, -1]), student, objective.centres, teacher, torch.randn(5, 6))
    total = objective(step, 0.5)
    assert set(total.raw) == set(objective.terms)
    total.loss.backward()
    assert embedding.grad is not None
    assert embedding.grad.isfinite().all()
    assert embedding.grad.any()


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group == "trainer"])
def test_every_trainer_builds(choice: str):
    trainer = load("distill", [f"trainer={choice}", *NEEDED["distill"]]).trainer
    run = length(trainer, 1_000_000, 1)
    settings = recipe(trainer, run, machine_for(trainer, run))
    assert settings.total_steps == run.steps > 0
    layer = torch.nn.Linear(2, 2)
    build_optimizer(layer, settings.optimizer, layer)
    assert 0 <= settings.schedule.factor(run.steps - 1, run.steps) < settings.schedule.factor(run.steps // 2, run.steps)


def _frozen_night(folder: Path, picture: bytes) -> None:
    """``folder/night``, of one drop of two people with different pictures."""
    for person, more in (("a", b""), ("b", b"\0")):
        drop = folder / "drops" / "first" / person
        drop.mkdir(parents=True)
        (drop / "0.png").write_bytes(picture + more)
    manifest = freeze(folder / "drops", None)
    (folder / "night").mkdir()
    (folder / "night" / MANIFEST).write_text(manifest.to_json())
    write_verdicts(folder / "night", Verdicts(manifest.data_sha256(), {}, []))


@pytest.mark.slow
def test_every_reader_and_its_augmentation_build(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory):
    picture = cv2.imencode(".png", np.zeros((112, 112, 3), np.uint8))[1].tobytes()
    write_set(tmp_path, {k: payload(picture, float(k)) for k in range(2)}, classes=2)
    for person in ("a", "b"):
        (tmp_path / person).mkdir()
        (tmp_path / person / "0.png").write_bytes(picture)
    small = [
        f"data.root={tmp_path}/synthetic",
        *(f"data.reader.{o}" for o in ("identities=1", "pictures=2", "pairs=40")),
    ]
    service = tmp_path_factory.mktemp("service")
    _frozen_night(service, picture)
    for choice in (choice for group, choice in CHOICES if group == "data"):
        where = small if choice.startswith("synthfaces") else [f"data.root={tmp_path}"]
        if choice == "frozen":
            where = [f"data.root={service}/night"]
        data = load("distill", [f"data={choice}", *where]).data
        assert len(labelled_faces(data)) == 2, choice
        assert augmentation(data).mirror == 0.5, choice


def test_a_black_box_needs_its_file_and_no_teacher_needs_none():
    with pytest.raises(UserError, match=r"^teacher\.weights is missing: the teacher's ONNX file, e\.g\. "):
        load("distill", ["teacher=onnx", *NEEDED["distill"]])
    assert load("distill", ["teacher=none", *NEEDED["distill"]]).teacher.weights is None


def test_an_experiment_wins_over_the_groups_and_loses_to_the_command_line(tmp_path: Path):
    from hydra import compose, initialize_config_dir

    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /student: vargfacenet\ntrainer: {batch_size: 7, accumulate: 3}\n"
    )
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        path = f"hydra.searchpath=[file://{tmp_path}]"
        conf = compose("distill", ["experiment=mine", "trainer.accumulate=5", path])
    assert (conf.student.name, conf.trainer.batch_size, conf.trainer.accumulate) == ("vargfacenet", 7, 5)


def test_files_say_what_they_are_for():
    silent = [p for p in conf_dir().rglob("*.yaml") if not p.read_text(encoding="utf-8").startswith("#")]
    assert not silent


def test_files_are_plain_yaml():
    for path in conf_dir().rglob("*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path


def test_what_a_component_takes_as_settings_is_its_schema():
    trainer, protocol = get_type_hints(TrainerConf), get_type_hints(ProtocolConf)
    assert (trainer["optimizer"], trainer["schedule"]) == (OptimizerSettings, LearningRate)
    assert get_args(protocol["published"]) == (Published,)
    for job in (DistillConf, TeachConf, NightlyConf, RollbackConf):
        assert get_type_hints(job)["tracking"] is WandbSettings


def test_a_night_is_shipped_with_the_defaults_of_its_parts():
    conf = load("nightly", NEEDED["nightly"])
    assert (conf.vetting, conf.keep, conf.judge) == (VettingConf(), Policy(), JudgeConf())


def test_trainers_give_their_length_in_one_way():
    for path in (conf_dir() / "trainer").glob("*.yaml"):
        trainer = load("distill", [f"trainer={path.stem}", "data.root=/faces"]).trainer
        assert (trainer.images is None) != (trainer.epochs is None), path


def test_the_main_job_has_a_group_for_each_choice_of_a_user():
    assert {"teacher", "student", "data", "objective", "protocol", "trainer", "tracking"} <= set(vars(DistillConf()))
