"""Independent evaluation of synthetic faces: by a teacher that has seen only real people, and by a detector.

    .venv/bin/python benchmarks/synthfaces.py DATA_ROOT [--people 200] [--pictures 6] [--seed 2] [--haar PYTHON]

DATA_ROOT holds reference_teacher.onnx (1x3x112x112, RGB, (x - 127.5) / 128). Seed 1 was used while the renderer was
made; report another. OpenCV 5 ships no Haar cascades, so PYTHON is that of an environment with one that does:
`python -m venv /tmp/haar && /tmp/haar/bin/pip install "opencv-python-headless<5"`, then --haar /tmp/haar/bin/python.
Figures go to benchmarks/results/synthfaces.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from distill.data.decode import decode
from distill.data.synth.nuisance import EVERYDAY, FULL, MILD, Nuisance
from distill.data.synth.render import Sitter
from distill.data.synth.streams import Key, Split

RESULT = Path(__file__).parent / "results" / "synthfaces.json"
FLOORS = {"mild": (0.9996, 0.994), "full": (0.975, 0.768), "full, restyled": (0.946, 0.578)}
"""ROC AUC and TAR at FAR 1e-2 of the prototype, which was tuned on the identities it was measured with."""
MODES = {"mild": MILD, "full": FULL, "full, restyled": EVERYDAY}
SPEED_PEOPLE, SPEED_PICTURES = 10, 12
_CASCADE = """
import sys, cv2, numpy as np
cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
margin = [40] * 4
grays = [cv2.copyMakeBorder(g, *margin, cv2.BORDER_REPLICATE) for g in np.load(sys.argv[1])]
print(np.mean([len(cascade.detectMultiScale(g, 1.05, 3, minSize=(50, 50))) > 0 for g in grays]))
"""


def main() -> int:
    arguments = _arguments()
    cv2.setNumThreads(1)
    teacher = Teacher(arguments.root / "reference_teacher.onnx")
    rows = {}
    for name, nuisance in MODES.items():
        images, people = _pictures(nuisance, arguments)
        rows[name] = {**_scores(teacher.embed(images), people), "floor": FLOORS[name]}
        if name == "mild" and arguments.haar:
            rows[name]["haar_found"] = _haar(arguments.haar, images)
        print(name, json.dumps(rows[name]), flush=True)
    content = {"machine": _machine(), "command": _told(arguments), "rows": rows, "speed": _speed()}
    print(json.dumps(content["speed"]))
    RESULT.write_text(json.dumps(content, indent=1) + "\n")
    return 0


class Teacher:
    """The reference network, one picture at a time on one thread."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def embed(self, images: np.ndarray) -> np.ndarray:
        """RGB uint8 [n 112 112 3] to unit vectors [n d]."""
        inputs = ((images.astype(np.float32) - 127.5) / 128).transpose(0, 3, 1, 2)
        found = np.concatenate([np.asarray(self._session.run(None, {self._input: one[None]})[0]) for one in inputs])
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def _pictures(nuisance: Nuisance, arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Pictures as the data set stores them, decoded: [n 112 112 3] and the person [n]."""
    images = []
    for person in range(arguments.people):
        sitter = Sitter(Key(arguments.seed, Split.train, person))
        images += [decode(sitter.picture(number, nuisance)) for number in range(arguments.pictures)]
    return np.stack(images), np.repeat(np.arange(arguments.people), arguments.pictures)


def _scores(embeddings: np.ndarray, people: np.ndarray) -> dict[str, float]:
    """Over all pairs of pictures: how well the cosine separates people."""
    first, second = np.triu_indices(len(people), 1)
    cosine = (embeddings @ embeddings.T)[first, second]
    same = people[first] == people[second]
    genuine, impostor = cosine[same], np.sort(cosine[~same])
    figures = {
        "auc": float((np.searchsorted(impostor, genuine) / len(impostor)).mean()),
        "tar_at_far_1e-2": float((genuine > impostor[int(0.99 * len(impostor))]).mean()),
        "tar_at_far_1e-3": float((genuine > impostor[int(0.999 * len(impostor))]).mean()),
        "genuine_cosine": float(genuine.mean()),
        "impostor_cosine": float(impostor.mean()),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def _haar(python: str, images: np.ndarray) -> float:
    """The share of pictures with a face for the frontal Haar cascade of another environment's OpenCV."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gray.npy"
        np.save(file, np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]))
        done = subprocess.run([python, "-c", _CASCADE, str(file)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{python} could not run the cascade: {done.stderr.strip().splitlines()[-1]}")
    return round(float(done.stdout), 4)


def _speed() -> dict[str, float | int]:
    """Pictures a second of one thread, JPEG and the making of each person included."""
    wall, cpu = time.perf_counter(), time.process_time()
    for person in range(SPEED_PEOPLE):
        sitter = Sitter(Key(3, Split.train, person))
        for number in range(SPEED_PICTURES):
            sitter.picture(number, EVERYDAY)
    count = SPEED_PEOPLE * SPEED_PICTURES
    return {
        "pictures_per_person": SPEED_PICTURES,
        "per_second_of_cpu": round(count / (time.process_time() - cpu), 1),
        "per_second": round(count / (time.perf_counter() - wall), 1),
        "load_of_the_machine": round(os.getloadavg()[0], 1),
    }


def _machine() -> str:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return f"{model.partition(':')[2].strip() or platform.processor()}, {len(os.sched_getaffinity(0))} cores"


def _told(arguments: argparse.Namespace) -> str:
    numbers = f"--people {arguments.people} --pictures {arguments.pictures} --seed {arguments.seed}"
    return (
        shlex.join(["python", "benchmarks/synthfaces.py"])
        + f" DATA_ROOT {numbers}"
        + " --haar PYTHON" * bool(arguments.haar)
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path, metavar="DATA_ROOT")
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--haar", metavar="PYTHON", help="a Python whose OpenCV is older than 5")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
