"""How to fuse the frames of a video: mean, lengths, learned quality, consensus, a separate network, on videos of known
severity.

    .venv/bin/python benchmarks/fusion.py DATA_ROOT [--images 72000] [--people 400] [--jobs 2]

DATA_ROOT holds labelled/ and singles/ (RecordIO) and reference_teacher.onnx. People are held out of labelled/ before
anything is trained: some to choose by (--choose), the rest to report. Of each, one half of the pictures makes one
video, the other half another, so that both share a person and no picture; all videos are compared with all. A video has
eight frames (benchmarks/frames.py), and CONDITIONS in benchmarks/fused_videos.py list their kinds.

The student is distilled from DATA_ROOT/reference_teacher.onnx with experiment=quality; then its head and the separate
network learn with experiment=quality_head, each from the student itself. All rules see the same embeddings: "norm" has
the lengths that the recogniser's embedding has by itself, "learned" those of the head. The reference teacher's own
embeddings are fused too, with the separate network of the student. Synthetic people (distill/data/synth), whom no
network here has seen, make further videos. --home names a run on synthetic faces (the README's first command makes
one): its head learns on the faces that it learned from, and both are judged on synthetic people.

Runs and embeddings are kept below runs/fusion, so that a stopped benchmark continues; figures go to
benchmarks/results/fusion.json.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from distilling import distilled, machine
from fused_videos import ANY, CONDITIONS, METHODS, Embedded, judge
from held_out import Album, albums, by_student, embedded, hold_out, kept, synthetic_albums

RESULT = Path(__file__).parent / "results" / "fusion.json"
RUNS = Path("runs") / "fusion"
HEAD_IMAGES = 16_000
"""Length of the runs of the heads in samples seen."""
HELD_OUT = 600
"""People whom nothing is trained on, of whom a run uses some."""


def main() -> int:
    arguments = _arguments()
    folder = hold_out(arguments.data / "labelled", RUNS / "faces", HELD_OUT)
    runs = _train(arguments)
    sets = _sets(folder, arguments)
    content: dict[str, Any] = {"command": _told(arguments), "machine": machine(), "frames": 8, "sets": {}}
    content["student"] = {name: _row(metrics) for name, metrics in runs.items()}
    for name, people in sets.items():
        for network, found in _networks(name, people, arguments).items():
            _keep(content, f"{name}, {network}", len(people), judge(found, arguments.seed))
    if arguments.home:
        people = synthetic_albums(arguments.synthetic)
        rows = judge(_at_home(arguments, people), arguments.seed)
        _keep(content, "synthetic, a student of synthetic faces", len(people), rows)
    return 0


def _keep(content: dict[str, Any], name: str, people: int, rows: dict[str, Any]) -> None:
    """Write and print the results so far."""
    content["sets"][name] = {"people": people, "conditions": rows}
    RESULT.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\n{name}\n{table(rows)}", flush=True)


def _at_home(arguments: argparse.Namespace, people: list[Album]) -> Embedded:
    """Outputs for synthetic people of a student of synthetic faces and its head."""
    options = ["experiment=quality_head", "data=synthfaces", f"student.init={arguments.home}", "tracking=none"]
    dict(distilled({"home": options}, RUNS, 1))
    said = kept(RUNS / f"frames-home-{len(people)}" / "student.npz", people, lambda: by_student(RUNS / "home"))
    return Embedded(said["frames"], None, said["kappa"])


def _train(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The student, then its head and the separate network; their metrics."""
    data: Path = arguments.data
    own = [f"data.root={RUNS / 'faces' / 'train'}", f"data.pairs={data / 'lfw_dev.bin'}"]
    taught = [*own, "teacher=onnx", f"teacher.weights={data / 'reference_teacher.onnx'}"]
    taught.append(f"data.transfer=[{data / 'singles'}]")
    store = RUNS / "signals"
    _call(["signals", *taught, "data.augment.shift_px=0", f"out={store}"])
    length = [f"trainer.images={arguments.images}", "trainer.small_fraction=0.85"]
    student = [*taught, *length, "experiment=quality", f"signals={store}", "tracking=none"]
    found = dict(distilled({"student": student}, RUNS, 1))
    head = [*own, "experiment=quality_head", f"student.init={RUNS / 'student'}", f"trainer.images={HEAD_IMAGES}"]
    later = {"head": head, "frame_quality": [*head, "student=vargnet_frame_quality"]}
    return found | dict(distilled({name: [*o, "tracking=none"] for name, o in later.items()}, RUNS, arguments.jobs))


def _call(words: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "distill", *words], check=True)


def _sets(folder: Path, arguments: argparse.Namespace) -> dict[str, list[Album]]:
    people = albums(folder)
    return {
        "choosing": people[: arguments.choose],
        "photographs": people[arguments.choose : arguments.choose + arguments.people],
        "synthetic": synthetic_albums(arguments.synthetic),
    }


def _networks(name: str, people: list[Album], arguments: argparse.Namespace) -> dict[str, Embedded]:
    """The same frames in the student's embeddings and in the reference teacher's."""
    runs = {"head": RUNS / "head", "frame_quality": RUNS / "frame_quality"}
    teacher = arguments.data / "reference_teacher.onnx"
    return embedded(people, runs, teacher, RUNS / f"frames-{name}-{len(people)}")


def table(rows: dict[str, Any], fpr: str = "0.0001") -> str:
    """TPR at one FPR, and in brackets the interval of what a rule gains over the mean, as Markdown."""
    lines = [f"| TPR at FPR {fpr}, % | " + " | ".join(METHODS.values()) + " |", "|---|" + "---|" * len(METHODS)]
    for condition in (*CONDITIONS, ANY):
        cells = []
        for method in METHODS:
            found = rows[condition].get(method)
            cells.append("" if found is None else _cell(found, fpr, method))
        lines.append(f"| {condition} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(found: dict[str, Any], fpr: str, method: str) -> str:
    value = f"{100 * found['tpr_at_fpr'][fpr]:.1f}"
    low, high = (100 * end for end in found["over_mean"][fpr])
    return value if method == "mean" else f"{value} ({low:+.1f} to {high:+.1f})"


def _row(metrics: dict[str, Any]) -> dict[str, Any]:
    student, checked = metrics["student"], metrics["check"]
    return {
        "verdict": metrics["verdict"],
        "flops": checked["flops"],
        "bytes": checked["bytes"],
        "auc": student["auc"],
        "accuracy": student["accuracy_mean"],
        "image_steps": metrics["machine"]["image_steps"],
        "training_s": metrics["training_s"],
    }


def _told(arguments: argparse.Namespace) -> str:
    numbers = ("images", "people", "choose", "synthetic", "seed", "jobs")
    return shlex.join(["benchmarks/fusion.py", "DATA_ROOT", *(f"--{n}={getattr(arguments, n)}" for n in numbers)])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA_ROOT")
    parser.add_argument("--images", type=int, default=72_000, help="length of the student's run in samples seen")
    parser.add_argument("--people", type=int, default=400, help="held out to report")
    parser.add_argument("--choose", type=int, default=100, help="held out to choose by")
    parser.add_argument("--synthetic", type=int, default=150, help="synthetic people")
    parser.add_argument("--home", type=Path, help="a run on synthetic faces")
    parser.add_argument("--seed", type=int, default=1, help="of the videos")
    parser.add_argument("--jobs", type=int, default=2, help="heads that learn side by side")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
