"""A service of a fortnight as record files: promotions, a rejection, a failure, a torn record, an unfinished night."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill.judge.benchmark import ALL
from distill.judge.judgement import Kind, Reason
from distill.nightly.records import Record, note_failure, record_path, write_record
from distill.nightly.service_folder import Night

SECONDS = {
    "freeze": 40,
    "signals": 700,
    "vet": 60,
    "train": 5200,
    "export": 50,
    "parity": 15,
    "check": 3,
    "verify": 240,
    "judge": 25,
    "promote": 1,
    "report": 4,
}
REJECTED, FAILED, TORN = 5, 8, 11
MARGIN = 0.005


def write_service(root: Path, count: int = 14, seed: int = 0) -> Path:
    """``count`` nights below ``root``; the last one has trained and come no further."""
    rng = np.random.default_rng(seed)
    version, score, images, people = 0, 0.941, 50_000, 2_000
    for number in range(1, count + 1):
        new_images, new_people = int(rng.integers(400, 2_500)), int(rng.integers(5, 60))
        images, people = images + new_images, people + new_people
        night = Night(root, number)
        results = _data(images, people, new_images, new_people, number, rng)
        gain = -0.012 if number == REJECTED else 0.2 * (0.957 - score) * float(rng.random())
        outcome = "rejected" if number % 4 == 1 and number > 1 else "promoted"
        before, after = _version(version), _version(version + 1) if outcome == "promoted" else None
        results |= _verdict(score, score + gain, before is None, outcome, rng)
        results["promote"] = {"outcome": outcome, "version": after, "before": before}
        results["report"] = {}
        stop = "export" if number == count else "train" if number == FAILED else None
        _write(night, results, rng, stop)
        if number == FAILED:
            note_failure(night.folder, "train", "the loss grew to 12.4 times its own recent value", mistake=False)
        if stop is None and outcome == "promoted":
            version, score = version + 1, score + gain
    if count >= TORN:
        path = record_path(root / "nights" / f"{TORN:04d}", "vet")
        path.write_bytes(path.read_bytes()[:60])
    _serve(root, version)
    return root


def record(
    stage: str, result: Mapping[str, Any], seconds: float = 1.0, started_at: str = "2026-11-02T02:00:04"
) -> Record:
    return Record(stage, {}, {}, result, f"{started_at}+00:00", seconds)


def _version(number: int) -> str | None:
    return f"v{number:04d}" if number else None


def _data(
    images: int, people: int, new_images: int, new_people: int, number: int, rng: np.random.Generator
) -> dict[str, Any]:
    drops = [f"drop-{n:02d}" for n in range(1, number + 1)]
    freeze = {
        "images": images,
        "people": people,
        "new_images": new_images,
        "new_people": new_people,
        "drops": drops,
        "new_drops": drops[-1:],
        "data_sha256": hashlib.sha256(str(number).encode()).hexdigest(),
    }
    kinds = {"damaged": 12, "duplicates": 90, "doubtful_labels": 30, "split_people": 4}
    found = {kind: int(rng.integers(0, most)) for kind, most in kinds.items()}
    return {
        "freeze": freeze,
        "signals": {"images_new": new_images, "images_kept": images - new_images, "seconds": 700.0},
        "vet": {**found, "unlabelled": found["doubtful_labels"], "findings": []},
        "train": {"start": "champion", "image_steps": 120_000, "replayed": 0.5, "seconds": 5200.0},
        "export": {},
        "parity": {"max_difference": 3e-6, "min_cosine": 0.9999999},
        "check": {"verdict": "PASS", "flops": 995_510_728, "bytes": 19_480_000 + 40 * number, "reasons": []},
    }


def _verdict(champion: float, challenger: float, first: bool, outcome: str, rng: np.random.Generator) -> dict[str, Any]:
    sets, theirs, reasons = {}, {}, []
    for name, shift in (("lfw_dev", 0.04), ("hard_pairs", -0.05)):
        mine, old = challenger + shift, champion + shift
        scores = {"auc": mine + 0.01, "accuracy_mean": mine, "tpr_at_fpr": {"0.001": mine - 0.1}}
        sets[name], theirs[name] = scores, {**scores, "accuracy_mean": old}
        half = 0.004 + 0.003 * float(rng.random())
        main: Kind = "floor" if first else "main"
        reasons.append(reason("guard" if reasons else main, name, ALL, None if first else old, mine, half))
    bad = -0.021 if outcome == "rejected" else 0.001
    reasons.append(reason("guard", "lfw_dev", "sharpness: low", champion, champion + bad, 0.006))
    return {
        "verify": {"sets": sets, "champion": None if first else theirs},
        "judge": {"verdict": "promote" if outcome == "promoted" else "reject", "reasons": reasons},
    }


def reason(kind: Kind, name: str, part: str, champion: float | None, challenger: float, half: float) -> dict[str, Any]:
    """One reason of the judge, with a sentence that has its figures."""
    gap = None if champion is None else challenger - champion
    middle = challenger if gap is None else gap
    interval = (middle - half, middle + half)
    holds = gap is None or interval[1] > -MARGIN
    text = f"{name}{'' if part == ALL else f', {part}'}: accuracy {champion or 0:.4f} to {challenger:.4f}, "
    text += f"{interval[0]:+.4f} … {interval[1]:+.4f}, margin {MARGIN:g}"
    finding = "holds" if holds else "fails"
    return Reason(kind, "accuracy", finding, text, name, part, champion, challenger, gap, interval, MARGIN).to_json()


def _write(night: Night, results: Mapping[str, Any], rng: np.random.Generator, stop: str | None) -> None:
    """The records of every stage before ``stop``, and a report where the night has one."""
    day = f"2026-11-{night.number:02d}T02:00:04" if night.number <= 30 else "2026-12-01T02:00:04"
    for stage, result in results.items():
        if stage == stop:
            return
        write_record(night.folder, record(stage, result, SECONDS[stage] * float(rng.uniform(0.8, 1.3)), day))
    (night.folder / "report.html").write_text(f"<title>night {night.number}</title>", encoding="utf-8")


def _serve(root: Path, version: int) -> None:
    """The champion's link, as the registry leaves it."""
    if version:
        folder = root / "registry" / "versions" / str(_version(version))
        folder.mkdir(parents=True)
        (root / "registry" / "champion").symlink_to(folder.relative_to(root / "registry"))
