"""What the teacher's maps add: the default objective, with attention transfer, with hints; all else the same.

    .venv/bin/python benchmarks/maps.py RUN [--images 5000] [--jobs 2] [--options ...]

The teacher is the finished student of RUN, a run folder of ``student=vargnet``: a network with maps that everybody has
after the first command of the README. Data, pairs and all other settings are that command's. Runs and their logs are
kept below runs/maps; figures go to benchmarks/results/maps-IMAGES.json.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from distilling import distilled, machine
from objectives import figures

from distill.types import Preprocessing
from teachers.card import Card, write_card

RESULTS, RUNS = Path(__file__).parent / "results", Path("runs") / "maps"
OBJECTIVES = ("default", "attention", "hints")
VARGNET = (
    "teacher=r50",
    "teacher.name=vargnet",
    "teacher.network._target_=distill.students.vargnet.VarGNet",
    *(f"~teacher.network.{option}" for option in ("block", "se", "dropout", "eps")),
    "teacher.network.units=[3,7,4]",
    *("+teacher.network.widths=[40,80,160,296]", "+teacher.network.last_channels=1024"),
    *("+teacher.network.group_width=8", "+teacher.network.se_reduction=4"),
)
"""The student of the default choice, as a teacher."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run folder of student=vargnet")
    parser.add_argument("--images", type=int, default=5_000, help="length of each run in samples seen")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--options", nargs="*", default=[], help="further overrides for every run")
    arguments = parser.parse_args()
    common = [*VARGNET, f"teacher.weights={arguments.run / 'student.safetensors'}", "signals=live"]
    card = RUNS / "card.yaml"
    RUNS.mkdir(parents=True, exist_ok=True)
    write_card(Card("vargnet", f"the student of {arguments.run}", "as the run's", Preprocessing()), card)
    common += [f"teacher.card={card}", f"trainer.images={arguments.images}", *arguments.options]
    runs = {f"{name}-{arguments.images}": [*common, f"objective={name}"] for name in OBJECTIVES}
    found = {name.partition("-")[0]: figures(metrics) for name, metrics in distilled(runs, RUNS, arguments.jobs)}
    words = ["benchmarks/maps.py", "RUN", f"--images={arguments.images}", f"--jobs={arguments.jobs}"]
    words += ["--options", *arguments.options] if arguments.options else []
    rows = {name: found[name] for name in OBJECTIVES}
    content = {"command": shlex.join(words), "machine": machine(), "rows": rows}
    path = RESULTS / f"maps-{arguments.images}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    for name, row in rows.items():
        low, high = row["auc_interval"]
        print(f"{name:10} AUC {row['auc']:.4f} ({low:.4f} to {high:.4f}), accuracy {row['accuracy']:.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
