"""Three runs of fixed seeds: the default objective, labels alone, a night. Their losses and what they leave behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from distill.cli import main
from distill.nightly.service import Outcome
from reference.small_data import SMALL_STUDENT, write_small_drop, write_small_root
from reference.tiny_onnx import TinyOnnx

STEPS, BATCH = 20, 8
TRAINER = (f"trainer.images={STEPS * BATCH}", "trainer.checkpoint_every_steps=10")


@dataclass(frozen=True)
class SmallRuns:
    """The folders of the runs below one folder: ``distilled`` and ``margin`` are run folders, ``service`` a night's."""

    folder: Path

    @property
    def distilled(self) -> Path:
        return self.folder / "runs" / "distilled"

    @property
    def margin(self) -> Path:
        return self.folder / "runs" / "margin"

    @property
    def service(self) -> Path:
        return self.folder / "nightly"

    def losses(self) -> dict[str, list[str]]:
        """Every logged loss of the three runs, by run and name, as exact hexadecimal floats."""
        night = next(self.service.glob("nights/0001/**/series.jsonl"))
        files = {
            "distilled": self.distilled / "series.jsonl",
            "margin": self.margin / "series.jsonl",
            "night": night,
        }
        found: dict[str, list[str]] = {}
        for run, path in files.items():
            for row in map(json.loads, path.read_text().splitlines()):
                for name, value in row["values"].items():
                    if name.startswith("loss"):
                        found.setdefault(f"{run} {name}", []).append(float(value).hex())
        return found


def run_all(folder: Path) -> SmallRuns:
    """Run the three below ``folder``, on one thread."""
    root = write_small_root(folder / "faces")
    teacher = TinyOnnx(width=6).write(folder / "teacher.onnx")
    write_small_drop(folder / "drops", "2026-01-01")
    common = [*SMALL_STUDENT, "trainer=smoke", *TRAINER, "tracking=none", "seed=3"]
    trained = [*common, f"data.root={root}", f"run.root={folder / 'runs'}"]
    taught = ["teacher=onnx", f"teacher.weights={teacher}"]
    judged = [f"judge.margin.{figure}=0.99" for figure in ("accuracy", "auc", "tpr_at_fpr")]
    night = [
        *(common + taught + judged),
        f"drops={folder / 'drops'}",
        f"benchmarks={root}",
        f"root={folder / 'nightly'}",
        "trainer@continued=smoke",
        "judge.floor=0.01",
        "judge.resamples=200",
    ]
    with _one_thread(), _working_in(folder):
        assert main(["distill", *trained, *taught, "objective=default", "run.name=distilled"]) == 0
        assert main(["distill", *trained, "teacher=none", "objective=margin", "run.name=margin"]) == 0
        assert main(["nightly", *night]) == Outcome.PROMOTED.status
        scored = [f"pairs={root / 'lfw_small.bin'}", "bootstrap=200"]
        assert main(["verify", "model=runs/distilled", *scored, "out=verify"]) == 0
        rivals = ["champion=runs/margin", "challenger=runs/distilled", f"pairs={root / 'lfw_small.bin'}"]
        main(["judge", *rivals, *judged, "judge.floor=0.01", "judge.resamples=200", "out=judge"])
    return SmallRuns(folder)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Relative defaults, ``signals/`` for one, mean places below ``folder``."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
