"""``score``: features and labels from files to exact figures, and the errors of files that do not fit together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.cli import main
from distill.features.feature_file import header
from reference import allpairs as reference

Refused = Callable[..., str]
PEOPLE = ["anna", "bo", "-", "anna", "cy", "bo", "-", "anna", "cy", "dee"]


def rows(seed: int, people: list[str] = PEOPLE) -> np.ndarray:
    """Features [n 16] that are alike for one person."""
    own = {name: np.random.default_rng([7, *name.encode()]).normal(size=16) for name in people}
    rng = np.random.default_rng(seed)
    return np.stack([own[name] * (name != "-") + rng.normal(size=16) for name in people]).astype(np.float32)


def write(folder: Path, name: str, features: np.ndarray, people: list[str] = PEOPLE) -> tuple[str, str]:
    """A feature file or ``.npy``, by its name, and its labels; both paths."""
    path, labels = folder / name, folder / f"{name}.txt"
    if path.suffix == ".npy":
        np.save(path, features)
    else:
        path.write_bytes(header(*features.shape) + features.tobytes())
    labels.write_text("\n".join(people) + "\n")
    return str(path), str(labels)


def expected(left: np.ndarray, right: np.ndarray | None, fpr: float) -> tuple[float, int, int]:
    """Threshold, impostor and genuine pairs above it, by the slow reference."""
    numbers = np.array([sorted(set(PEOPLE) - {"-"}).index(name) if name != "-" else -1 for name in PEOPLE])
    scores, same = reference.scored(left, numbers, right, None if right is None else numbers)
    return reference.point(scores, same, fpr)


def found(path: Path, fpr: float) -> dict[str, Any]:
    points = json.loads(path.read_text())["scores"]["points"]
    return next(point for point in points if point["fpr"] == fpr)


@pytest.mark.parametrize("suffix", [".bin", ".npy"])
def test_one_set(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    features, labels = write(tmp_path, f"set{suffix}", rows(1))
    out = tmp_path / "found.json"
    assert main(["score", f"features={features}", f"labels={labels}", f"out={out}", "fprs=[0.1,0.05]"]) == 0
    for fpr in (0.1, 0.05):
        point = found(out, fpr)
        threshold, impostor, genuine = expected(rows(1), None, fpr)
        assert (point["threshold"], point["impostor_accepted"], point["genuine_accepted"]) == (
            threshold,
            impostor,
            genuine,
        )
    printed = capsys.readouterr().out
    assert "45: 5 genuine, 40 impostor" in printed
    assert "4, and 2 distractors" in printed


def test_gallery_and_probes_share_their_people(tmp_path: Path):
    gallery, gallery_labels = write(tmp_path, "gallery.bin", rows(1))
    probes, probe_labels = write(tmp_path, "probes.npy", rows(2))
    out = tmp_path / "found.json"
    given = [f"features={gallery}", f"labels={gallery_labels}", f"probes={probes}", f"probe_labels={probe_labels}"]
    assert main(["score", *given, f"out={out}", "fprs=[0.1]", "bootstrap=0"]) == 0
    point = found(out, 0.1)
    threshold, impostor, genuine = expected(rows(1), rows(2), 0.1)
    assert (point["threshold"], point["impostor_accepted"], point["genuine_accepted"]) == (threshold, impostor, genuine)
    assert point["interval"] is None
    assert json.loads(out.read_text())["scores"]["genuine"] == 9 + 4 + 4 + 1


def test_blocks_are_kept_and_belong_to_their_inputs(tmp_path: Path, refused: Refused):
    features, labels = write(tmp_path, "set.bin", rows(1))
    given = ["score", f"features={features}", f"labels={labels}", f"work={tmp_path / 'blocks'}", "fprs=[0.1]"]
    outs = [tmp_path / "first.json", tmp_path / "again.json"]
    assert [main([*given, f"out={out}"]) for out in outs] == [0, 0]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert list((tmp_path / "blocks").glob("steps-*.npy"))
    write(tmp_path, "set.bin", rows(3))
    assert "is of other features, identities or FPRs than these; give another work folder" in refused(*given)
    shutil.rmtree(tmp_path / "blocks")
    assert main([*given, f"out={outs[0]}"]) == 0


def test_what_does_not_fit_is_named(tmp_path: Path, refused: Refused):
    features, labels = write(tmp_path, "set.bin", rows(1))
    Path(labels).write_text("anna\nbo\n")
    told = refused("score", f"features={features}", f"labels={labels}")
    assert told == (f"{labels}: has 2 labels, and its features 10 rows; expected one for each: line 3 stands alone")
    bad = rows(1)
    bad[4, 3] = np.nan
    features, labels = write(tmp_path, "bad.bin", bad)
    assert refused("score", f"features={features}", f"labels={labels}").startswith(
        f"{features}: row 4 is zero, NaN or infinite"
    )
    wide, wide_labels = write(tmp_path, "wide.npy", rows(1).astype(np.float64))
    told = refused("score", f"features={wide}", f"labels={wide_labels}")
    assert told == f"{wide}: holds float64 [10, 16]; expected float32 [n d]"
    Path(wide).write_bytes(b"no array")
    told = refused("score", f"features={wide}", f"labels={wide_labels}")
    assert told == f"{wide} is not a NumPy array (.npy), but a text"
    assert refused("score", f"features={features}", f"labels={labels}", f"probes={wide}").startswith(
        f"probes is {wide} and probe_labels is None"
    )
