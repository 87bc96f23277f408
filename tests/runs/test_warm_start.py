"""Going on from a champion: its centres under the right people, the new where their faces are, and nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from distill.cli import main
from distill.config.groups import StudentConf
from distill.data.decode import decode
from distill.data.recordio import RecordIOSet
from distill.errors import UserError
from distill.losses.angular import AdaDistill
from distill.losses.centres import Moments
from distill.losses.margin import CosFace
from distill.losses.objective import Objective, Term
from distill.runs.assemble import STUDENT_INPUT
from distill.runs.centres_file import CENTRES, ClassPeople, Learned, write_learned
from distill.runs.warm_start import take_centres
from distill.students.vargnet import VarGNet
from distill.types import FaceNetwork, LossDims, LossInputs, Output
from reference.recordio import payload, write_set
from reference.small_data import PEOPLE, PICTURES, picture

Options = Callable[..., list[str]]
Refused = Callable[..., str]
OLD = 4


@pytest.fixture(scope="module")
def student() -> FaceNetwork:
    torch.manual_seed(3)
    return VarGNet(widths=[8, 8, 8, 8], units=[1, 1, 1], last_channels=16, embedding_dim=12).eval()


def objective_for(people: int, teacher_dim: int = 6) -> Objective:
    """A margin loss with centres of the student's, and a term with centres of its own in the teacher's space."""
    torch.manual_seed(people)
    sizes = LossDims(12, teacher_dim, people)
    return Objective(
        {"margin": Term(CosFace(scale=16.0, sizes=sizes)), "follow": Term(AdaDistill(adapter="project", sizes=sizes))},
        sizes,
    )


def left(folder: Path, objective: Objective, numbers: list[int], known_by: str = "number") -> Path:
    """The file of a champion with these people."""
    people = ClassPeople(np.array(numbers, np.int64), known_by)  # pyright: ignore[reportArgumentType]
    moments = Moments(objective.centres.detach().square(), 40)
    path = folder / CENTRES
    write_learned(path, Learned(people, objective.state_dict(), objective.class_rows, moments), "before")
    return path


def loss(objective: Objective, student: FaceNetwork, faces: RecordIOSet, rows: list[int]) -> Tensor:
    """The objective on some images, as in a step of training, but for what training mode moves."""
    images = torch.from_numpy(np.stack([decode(faces.read(r)) for r in rows])).permute(0, 3, 1, 2)
    teacher = Output(torch.randn(len(rows), 6, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        seen = student.forward_maps(STUDENT_INPUT(images))
        step = LossInputs(torch.from_numpy(faces.labels[rows]), seen, objective.centres, teacher)
        return objective.eval()(step, 0.5).loss


def test_the_same_people_cost_exactly_what_they_cost_the_champion(root: Path, tmp_path: Path, student: FaceNetwork):
    faces, champion, again = RecordIOSet(root), objective_for(PEOPLE), objective_for(PEOPLE)
    with torch.no_grad():
        champion.centres.normal_()
        again.centres.zero_()
    path = left(tmp_path, champion, list(range(PEOPLE)))
    take_centres(again, StudentConf(init="x", centres=str(path)), student, faces, 1)
    rows = list(range(0, len(faces), 3))
    assert torch.equal(loss(again, student, faces, rows), loss(champion, student, faces, rows))
    assert all(torch.equal(again.state_dict()[name], value) for name, value in champion.state_dict().items())


def test_new_people_begin_where_the_student_sees_them(root: Path, tmp_path: Path, student: FaceNetwork):
    faces, champion, grown = RecordIOSet(root), objective_for(OLD), objective_for(PEOPLE)
    known = [5, 1, 9, 0]  # 9 has left; 2, 3 and 4 are new
    path = left(tmp_path, champion, known)
    take_centres(grown, StudentConf(init="x", centres=str(path)), student, faces, 1)
    for row, person in enumerate(known):
        if person < PEOPLE:
            assert torch.equal(grown.centres[person], champion.centres[row])
            assert torch.equal(
                grown.state_dict()["losses.follow.centres"][person], champion.state_dict()["losses.follow.centres"][row]
            )
            assert grown.moments is not None
            assert torch.equal(grown.moments.second[person], champion.centres[row].square())
    length = champion.centres.norm(dim=1).mean().item()
    for person in (2, 3, 4):
        expected = slow_mean(student, faces, person)
        np.testing.assert_allclose(grown.centres[person].detach().numpy(), length * expected, rtol=1e-3, atol=1e-5)
        assert grown.moments is not None
        torch.testing.assert_close(grown.moments.second[person], champion.centres.detach().square().mean(0))
    assert grown.state_dict()["losses.follow.centres"][[2, 3, 4]].norm(dim=1).numpy() == pytest.approx(1, rel=1e-5)


def slow_mean(student: FaceNetwork, faces: RecordIOSet, person: int) -> np.ndarray:
    total = np.zeros(12)
    for row in np.flatnonzero(faces.labels == person).tolist():
        crop = torch.from_numpy(decode(faces.read(row)).astype(np.float32).transpose(2, 0, 1))[None]
        for view in (crop, crop.flip(3)):
            with torch.no_grad():
                embedding = student((view - 127.5) / 128)[0].double().numpy()
            total += embedding / np.linalg.norm(embedding)
    return total / np.linalg.norm(total)


def test_what_does_not_fit_is_one_line(root: Path, tmp_path: Path, student: FaceNetwork):
    faces = RecordIOSet(root)

    def told(objective: Objective, conf: StudentConf) -> str:
        with pytest.raises(UserError) as caught:
            take_centres(objective, conf, student, faces, 1)
        return str(caught.value)

    path = left(tmp_path, objective_for(OLD), list(range(OLD)))
    conf = StudentConf(init="x", centres=str(path))
    assert "student.init is null; expected both" in told(objective_for(PEOPLE), StudentConf(centres=str(path)))
    assert "does not exist" in told(objective_for(PEOPLE), StudentConf(init="x", centres=str(tmp_path / "gone")))
    wider = objective_for(PEOPLE, teacher_dim=7)
    assert f"{path} has losses.follow.centres of shape [4, 6], and this run [6, 7]" in told(wider, conf)
    named = left(tmp_path / "named", objective_for(OLD), list(range(OLD)), "name")
    line = told(objective_for(PEOPLE), StudentConf(init="x", centres=str(named)))
    assert f"{named} knows people by name, and these data by number" in line
    sizes = LossDims(12, None, OLD)
    margin = left(tmp_path / "margin", Objective({"margin": Term(CosFace(sizes=sizes))}, sizes), list(range(OLD)))
    line = told(objective_for(PEOPLE), StudentConf(init="x", centres=str(margin)))
    assert f"{margin} holds no losses.follow.centres, which this objective learns" in line


@pytest.fixture
def base(tmp_path: Path, root: Path) -> Path:
    """The first four of the six people, and the same pairs."""
    folder = tmp_path / "base"
    folder.mkdir()
    images = {p * PICTURES + n: payload(picture(p, n), float(p)) for p in range(OLD) for n in range(PICTURES)}
    write_set(folder, images, classes=OLD)
    (folder / "lfw_small.bin").write_bytes((root / "lfw_small.bin").read_bytes())
    return folder


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line)["values"] for line in (folder / "series.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.slow
def test_a_night_goes_on_where_the_champion_stopped(options: Options, base: Path, tmp_path: Path, caplog):
    """Student and centres come along: of the same people the first loss is near the champion's last."""
    plain = [o for o in options() if not o.startswith("teacher")]
    plain += ["teacher=none", "objective=margin", "trainer.optimizer.lr=1e-2"]
    runs, champion = tmp_path / "runs", tmp_path / "runs" / "champion"
    start = [f"student.init={champion}", f"student.centres={champion}"]
    assert main(["distill", *plain, "trainer.images=320", f"data.root={base}", "run.name=champion"]) == 0
    assert main(["distill", *plain, "trainer.images=8", f"data.root={base}", "run.name=again", *start]) == 0
    fresh, last, first = losses(champion)[0], losses(champion)[-1], losses(runs / "again")[0]
    assert abs(first - last) < 0.25 * (fresh - last)
    replay = ["replay.share=0.5", f"replay.old_images={OLD * PICTURES}"]
    assert main(["distill", *plain, "trainer.images=16", "run.name=night", *start, *replay]) == 0
    assert f"{champion / CENTRES}: 4 people known, 2 new" in caplog.text
    assert len(load_file(runs / "night" / CENTRES)["centres"]) == PEOPLE
    shown = json.loads((runs / "night" / "metrics.json").read_text())["images"]
    assert shown == OLD * PICTURES // 2 + (PEOPLE - OLD) * PICTURES


def test_what_is_replayed_has_to_make_sense(options: Options, refused: Refused):
    assert "replay.share is 1.5; expected 0" in refused("distill", *options("replay.share=1.5", "replay.old_images=3"))
    assert "replay.old_images is None beside replay.share=0.5" in refused("distill", *options("replay.share=0.5"))
    line = refused("distill", *options("replay.share=0.5", "replay.old_images=31"))
    assert "replay.old_images is 31 beside replay.share=0.5; expected how many of the set's 30" in line
    assert "no image is new" in refused("distill", *options("replay.share=0", "replay.old_images=30"))
