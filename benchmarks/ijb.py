"""Time and memory of IJB-C without the network: reading its pairs, scoring them, figures, intervals, both galleries.

    .venv/bin/python benchmarks/ijb.py [--pairs 15658489] [--dim 512]

On random templates of as many people as IJB-C has (3,531 enrolled in two galleries, 19,593 probes), written as text
and read back. Prints seconds and the peak memory of the process after every stage, and writes
benchmarks/results/ijb.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from distilling import machine

from distill.data.ijb import IjbFolder, read_template_pairs
from distill.files.atomic import write_atomic
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.identification import identify, search
from distill.metrics.templates import pair_scores, template_features, verify_templates

RESULT = Path(__file__).parent / "results" / "ijb.json"
ENROLLED, PROBES = 3531, 19_593
RESAMPLES = 5
LINES = 1 << 20


class Stages:
    """Seconds of each stage, and the most memory that the process has had by its end."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun_s = time.perf_counter()
        yield
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.found[name] = {"seconds": round(time.perf_counter() - begun_s, 1), "peak_mib": round(peak_mib)}
        print(f"{name:42} {self.found[name]['seconds']:8.1f} s {self.found[name]['peak_mib']:8,.0f} MiB", flush=True)


def main() -> int:
    arguments = _arguments()
    rng, stages = np.random.default_rng(0), Stages()
    persons = np.r_[np.arange(ENROLLED), rng.integers(0, ENROLLED, PROBES)]
    centres = rng.normal(size=(ENROLLED, arguments.dim))
    features = template_features(centres[persons] + 2.0 * rng.normal(size=(len(persons), arguments.dim)))
    with tempfile.TemporaryDirectory() as place:
        folder = IjbFolder(Path(place), "ijbc")
        _write_pairs(folder, persons, arguments.pairs, rng)
        with stages.stage("begin"):
            pass
        with stages.stage("read pairs"):
            pairs = read_template_pairs(folder, np.arange(len(persons)))
    with stages.stage("score pairs"):
        scores = pair_scores(features, pairs.left, pairs.right)
    with stages.stage("figures by both rules"):
        told = verify_templates(scores, pairs.same, None, Bootstrap(resamples=1))
    print(dict(told.tpr_at_fpr), dict(told.tpr_near_fpr))
    both = persons.astype(np.int32)[np.stack([pairs.left, pairs.right], axis=1)]
    with stages.stage(f"figures and {RESAMPLES} resamplings of persons"):
        verify_templates(scores, pairs.same, both, Bootstrap(resamples=RESAMPLES))
    del pairs, scores, both
    with stages.stage("both galleries, 200 resamplings"):
        for gallery in np.array_split(np.arange(ENROLLED), 2):
            found = search(features[gallery], persons[gallery], features[ENROLLED:], persons[ENROLLED:])
            identify(found, persons[ENROLLED:], len(gallery), Bootstrap(resamples=200))
    command = f"benchmarks/ijb.py --pairs={arguments.pairs} --dim={arguments.dim}"
    content = {"command": command, "machine": machine(), "stages": stages.found}
    write_atomic(RESULT, (json.dumps(content, indent=1) + "\n").encode())
    return 0


def _write_pairs(folder: IjbFolder, persons: np.ndarray, count: int, rng: np.random.Generator) -> None:
    """Every probe with the enrolled template of its person, and as many other pairs as are wanted in all."""
    path = folder.meta("template_pair_label.txt")
    path.parent.mkdir()
    probes = np.arange(ENROLLED, ENROLLED + PROBES)
    with path.open("w") as file:
        for start in range(0, count, LINES):
            right = rng.integers(ENROLLED, ENROLLED + PROBES, min(LINES, count - start))
            left = rng.integers(0, ENROLLED, len(right))
            if start == 0:
                right[:PROBES], left[:PROBES] = probes, persons[probes]
            same = (persons[left] == persons[right]).astype(int)
            rows = zip(left.tolist(), right.tolist(), same.tolist(), strict=True)
            file.writelines(f"{a} {b} {s}\n" for a, b, s in rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15_658_489)
    parser.add_argument("--dim", type=int, default=512)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
