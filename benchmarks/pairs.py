"""How near scoring all pairs comes to the speed of the matrix product, and how much memory it takes.

    .venv/bin/python benchmarks/pairs.py [--rows 10000 30000 100000] [--columns 512] [--rectangle]

Made features: persons with ten pictures each, in a space in which impostors' cosines spread as faces' do; in the
rectangle half of the rows are distractors. Each size is scored in a fresh process, from a file, with 1000 bootstrap
resamples; its peak memory is measured by the operating system. Around each, the machine's rate of float32 matrix
products is measured (4096 x 4096 x 4096, all cores, the best of five). ``share`` is the arithmetic of all pairs, 2 d
for each, over the seconds of the complete call (reading, checking, sampling, scoring, merging, intervals), relative to
that rate; ``pass_share`` is that of the pass over the pairs alone. Prints a table and writes
benchmarks/results/pairs-DEVICE.json with a projection for 1.86 million rows. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.format import duration
from distill.metrics.allpairs import DISTRACTOR, Engine, LabelledFeatures, Settings, score_all_pairs

RESULTS = Path(__file__).parent / "results"
PICTURES = 10
CHALLENGE_ROWS = 1_862_120
SIDE = 4096
PIECE_ROWS = 10_000


def main() -> int:
    arguments = _arguments()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if arguments.alone:
        print(json.dumps(_alone(Path(arguments.alone), arguments)))
        return 0
    cases = [(rows, False) for rows in arguments.rows] + [(max(arguments.rows), True)] * arguments.rectangle
    found = [_case(rows, rectangle, arguments) for rows, rectangle in cases]
    _print(found)
    largest = max(found, key=lambda case: case["pairs"])
    seconds = CHALLENGE_ROWS * (CHALLENGE_ROWS - 1) / 2 / largest["pairs_per_s"]
    print(f"projection for {CHALLENGE_ROWS:,} rows, all pairs of one set: {duration(seconds)}")
    content = {
        "command": "benchmarks/pairs.py " + " ".join(sys.argv[1:]),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if arguments.device != "cpu" else None,
        "cores": len(os.sched_getaffinity(0)),
        "columns": arguments.columns,
        "cases": found,
        "projection": {"rows": CHALLENGE_ROWS, "pairs": CHALLENGE_ROWS * (CHALLENGE_ROWS - 1) // 2, "seconds": seconds},
    }
    path = RESULTS / f"pairs-{arguments.device.split(':')[0]}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def _case(rows: int, rectangle: bool, arguments: argparse.Namespace) -> dict[str, Any]:
    """One size, in a process of its own, between two measurements of the matrix product."""
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(("gallery", "probes")[: 1 + rectangle]):
            _write(Path(folder), name, rows, arguments.columns, number if rectangle else None)
        before = _product_rate(arguments.device)
        command = [sys.executable, __file__, "--alone", folder, "--device", arguments.device]
        command += ["--max-memory-bytes", str(arguments.max_memory_bytes)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        after = _product_rate(arguments.device)
    rate = (before + after) / 2
    flops = 2.0 * arguments.columns * found["pairs"]
    return {
        "rows": rows,
        "rectangle": rectangle,
        **found,
        "pairs_per_s": found["pairs"] / found["seconds"],
        "product_gflops": [before / 1e9, after / 1e9],
        "share": flops / found["seconds"] / rate,
        "pass_share": flops / found["pass_seconds"] / rate,
    }


def _alone(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Score the files of a folder; the second call finds all blocks finished, and takes as long as all but the pass."""
    sides = [_faces(folder, name) for name in ("gallery", "probes") if (folder / f"{name}.npy").exists()]
    settings = Settings(engine=Engine(arguments.max_memory_bytes, None, arguments.device))
    tiny = LabelledFeatures(np.asarray(sides[0].features[:1600]), sides[0].identities[:1600])
    score_all_pairs(tiny, settings=settings)  # compiles
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        found = score_all_pairs(*sides, settings=settings, work=folder / "work")
        seconds.append(time.perf_counter() - begin)
    peak_kb = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return {
        "pairs": found.pairs,
        "seconds": seconds[0],
        "pass_seconds": seconds[0] - seconds[1],
        "peak_memory_bytes": int(peak_kb.split()[1]) * 1024,
        "work_folder_bytes": sum(path.stat().st_size for path in (folder / "work").iterdir()),
        "points": found.to_json()["points"],
    }


def _faces(folder: Path, name: str) -> LabelledFeatures:
    return LabelledFeatures(
        np.load(folder / f"{name}.npy", mmap_mode="r"), np.load(folder / f"{name}-identities.npy"), name
    )


def _write(folder: Path, name: str, rows: int, columns: int, seed: int | None) -> None:
    """Features and identities, rows in any order, a piece at a time; with a seed, about half are distractors,
    each a person of its own."""
    spread = (np.arange(columns) + 16.0) ** -0.25  # impostors' cosines vary as if there were fewer dimensions
    rng = np.random.default_rng(seed or 0)
    identities = rng.permutation(np.arange(rows) // PICTURES)
    lone = rng.random(rows) < (0.0 if seed is None else 0.5)
    out = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(rows, columns))
    for first in range(0, rows, PIECE_ROWS):
        some = range(first, min(first + PIECE_ROWS, rows))
        people = [(2, seed or 0, row) if lone[row] else (1, identities[row]) for row in some]
        centres = np.stack([np.random.default_rng(person).normal(size=columns) for person in people])
        blur = rng.lognormal(0.3, 0.4, (len(some), 1))  # pictures differ in quality
        out[first : first + len(some)] = (centres + blur * rng.normal(size=centres.shape)) * spread
    out.flush()
    identities[lone] = DISTRACTOR
    np.save(folder / f"{name}-identities.npy", identities.astype(np.int64))


def _product_rate(device: str) -> float:
    """Operations per second of a large square product in float32, the best of five."""
    left, right = (torch.rand(SIDE, SIDE, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        begin = time.perf_counter()
        product = left @ right.T
        product[0, 0].item()  # waits for a GPU
        best = min(best, time.perf_counter() - begin)
    return 2.0 * SIDE**3 / best


def _print(found: list[dict[str, Any]]) -> None:
    print(f"{'rows':>20} {'pairs':>15} {'seconds':>8} {'M pairs/s':>9} {'GFLOP/s':>8} share   pass  peak MB")
    for case in found:
        rows = f"{case['rows']:,}" + (f" x {case['rows']:,}" if case["rectangle"] else "")
        rate = sum(case["product_gflops"]) / 2
        print(
            f"{rows:>20} {case['pairs']:>15,} {case['seconds']:>8.1f} {case['pairs_per_s'] / 1e6:>9.1f} {rate:>8.1f} "
            f"{case['share']:>6.1%} {case['pass_share']:>6.1%} {case['peak_memory_bytes'] / 1e6:>8.0f}"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--rectangle", action="store_true", help="also the largest size as gallery and probes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--max-memory-bytes", type=int, default=2 << 30)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
