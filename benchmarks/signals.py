"""What stored signals save: the rate of distillation with r152 live and from a store, as ratios of one run.

    .venv/bin/python benchmarks/signals.py [--batch 64] [--steps 8] [--rounds 5] [--compile]

On 512 synthetic faces, with an untrained r152, whose arithmetic is that of a trained one. Prints a table and writes
benchmarks/results/signals-DEVICE.json. Run it on an otherwise idle machine.

``allowed`` is what the stages alone permit, (teacher + student) / student, with batches ready in memory; reading
images and signals from disk has to reach 95 % of it. All four are measured once in every round, in turn, and each
ratio is the median of the rounds' ratios, so that a machine that slows down for a while moves them little.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from distill.data.augment import Augmentation
from distill.data.batches import Plan, as_it_is
from distill.data.damage import Damage
from distill.data.faceset import FaceSet
from distill.data.module import FacesModule
from distill.data.synth.dataset import SynthFaces
from distill.data.views import MirrorViews
from distill.files.atomic import write_atomic
from distill.files.claims import Claims
from distill.losses.feature import EmbeddingCosine
from distill.losses.objective import Objective, Term
from distill.progress import waiting
from distill.signals.manifest import MANIFEST, SignalManifest
from distill.signals.store import Store
from distill.signals.writer import Writer, shard_images
from distill.students.vargnet import VarGNet
from distill.training.machine import Machine, resolve
from distill.training.module import Distiller, LiveTeacher, StoredTeacher, TeacherOutputs, TrainingRecipe
from distill.training.settings import LearningRate, OptimizerName, OptimizerSettings
from distill.types import LossDims, Preprocessing
from teachers.card import shipped_card
from teachers.iresnet import IResNet
from teachers.teacher import Teacher

RESULTS = Path(__file__).parent / "results"
VIEWS = MirrorViews(Augmentation(shift_px=0), seed=1)
WARM_UP_STEPS = 3
ARITHMETIC_LIMIT = (12.32 + 3 * 0.51) / (3 * 0.51)


class StepClock(pl.Callback):
    """Seconds from the end of one step to the end of the next, waiting for data included."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.marks.append(time.perf_counter())

    def step_s(self) -> float:
        seconds = [b - a for a, b in zip(self.marks, self.marks[1:], strict=False)]
        return statistics.median(seconds[WARM_UP_STEPS:])


def main() -> int:
    arguments = _arguments()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # it gives tips
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    machine = resolve("auto", None, arguments.compile, None, 0)
    teacher = _teacher(machine)
    with tempfile.TemporaryDirectory() as folder:
        faces = SynthFaces(Path(folder) / "faces", identities=64, pictures=8, pairs=40)
        store = _store(Path(folder) / "signals", faces, teacher)
        rounds = [_seconds(faces, store, teacher, arguments, machine) for _ in range(arguments.rounds)]
    rates = {name: arguments.batch / statistics.median(r[name] for r in rounds) for name in rounds[0]}
    for name, rate in rates.items():
        print(f"{name:8} {rate:8.1f} images/s")
    found = [_ratios(seconds) for seconds in rounds]
    ratios = {name: statistics.median(r[name] for r in found) for name in found[0]}
    shares = ", ".join(f"{r['share']:.1%}" for r in found)
    print(
        f"stored signals: {ratios['reached']:.2f} times the rate of the live teacher, {ratios['share']:.1%} of the "
        f"{ratios['allowed']:.2f} that the stages allow; rounds {shares}"
    )
    _keep(arguments, machine, rates, {**ratios, "shares": [round(r["share"], 4) for r in found]})
    return 0


def _ratios(seconds: dict[str, float]) -> dict[str, float]:
    """How much faster training is from a store, how much the stages allow, and the share of that."""
    reached = seconds["live"] / seconds["stored"]
    allowed = (seconds["teacher"] + seconds["student"]) / seconds["student"]
    return {"reached": reached, "allowed": allowed, "share": reached / allowed}


def _teacher(machine: Machine) -> Teacher:
    card = shipped_card("r152")
    assert card is not None
    precision = "bf16" if machine.precision == "bf16" else "fp32"
    return Teacher("r152", _settled(IResNet([3, 8, 36, 3])), card, card.preprocessing, precision).to(machine.device)


def _settled(network: IResNet) -> IResNet:
    """The network after a look at noise: untrained batch norms know no statistics, and outputs would explode."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(8, 3, 112, 112))
    return network


def _store(folder: Path, faces: FaceSet, teacher: Teacher) -> Store:
    """The signals of every image and its mirror image."""
    manifest = SignalManifest(
        data={"images": len(faces), "classes": faces.classes, "fingerprint": faces.fingerprint()},
        teacher={"name": "r152", "embedding_dim": 512, "map_channels": {}},
        views=VIEWS.described(),
        arrays={"embedding": [512]},
        shard_images=shard_images(len(faces)),
        software={},
    )
    write_atomic(folder / MANIFEST, manifest.to_json().encode())
    claims = Claims(folder)
    with waiting("signals of r152", len(faces), "images") as progress:
        Writer(folder, manifest, teacher, 32, 0, Damage(0)).write(faces, VIEWS, claims, progress)
    claims.close()
    return Store(folder, faces)


def _seconds(
    faces: FaceSet, store: Store, teacher: Teacher, arguments: argparse.Namespace, machine: Machine
) -> dict[str, float]:
    """Median seconds of a batch: trained live, trained from the store, and of teacher and student alone."""
    plan = Plan(arguments.batch, arguments.steps, arguments.steps, 1)
    loaded = FacesModule(faces, VIEWS, plan, machine.workers, store=store)
    batches = list(FacesModule(faces, VIEWS, plan, 0, store=store).train_dataloader())
    ready = DataLoader(batches, batch_size=None, collate_fn=as_it_is)  # pyright: ignore[reportArgumentType]
    images = batches[0]["images"].to(machine.device)
    return {
        "live": _step_s(LiveTeacher(teacher), FacesModule(faces, VIEWS, plan, machine.workers), machine),
        "stored": _step_s(StoredTeacher(), loaded, machine),
        "teacher": statistics.median(_timed(lambda: teacher.output(images)) for _ in range(arguments.steps)),
        "student": _step_s(StoredTeacher(), ready, machine),
    }


def _step_s(teacher: TeacherOutputs, data: Any, machine: Machine) -> float:
    """Seconds of one training step on this source of batches."""
    student = VarGNet([40, 80, 160, 296], [3, 7, 4])
    sizes = LossDims(512, 512, 1, student.map_channels)
    objective = Objective({"embedding": Term(EmbeddingCosine(sizes=sizes))}, sizes)
    recipe = TrainingRecipe(1000, OptimizerSettings(OptimizerName.muon), LearningRate(), compile=machine.compile)
    clock = StepClock()
    trainer = pl.Trainer(
        accelerator=machine.device,
        devices=1,
        precision=machine.lightning_precision,
        max_epochs=1,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(Distiller(student, objective, recipe, Preprocessing(), teacher), data)
    return clock.step_s()


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _keep(arguments: argparse.Namespace, machine: Machine, rates: dict[str, float], found: dict[str, Any]) -> None:
    content = {
        "command": f"benchmarks/signals.py --batch {arguments.batch} --steps {arguments.steps} "
        f"--rounds {arguments.rounds}" + (" --compile" if arguments.compile else ""),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": len(os.sched_getaffinity(0)),
        "precision": machine.precision,
        "images_per_s": rates,
        **found,
        "arithmetic_limit": ARITHMETIC_LIMIT,
    }
    path = RESULTS / f"signals-{machine.device}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8, help="of each measurement; the first three do not count")
    parser.add_argument("--rounds", type=int, default=5, help="of all measurements in turn")
    parser.add_argument("--compile", action="store_true", help="compile the student's step")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
