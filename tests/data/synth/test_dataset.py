from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distill.config.build import build
from distill.data.decode import decode
from distill.data.pairs import read_pairs
from distill.data.synth.dataset import SynthFaces
from distill.data.synth.generate import held_out_people, make
from distill.data.synth.recipe import FOLDS, MANIFEST, FacesRecipe, identity_of
from distill.errors import UserError

RECIPE = FacesRecipe(identities=3, pictures=2, pairs=40, seed=4)
FILES = ["property", "synthfaces.json", "synthfaces_dev.bin", "synthfaces_test.bin", "train.idx", "train.rec"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synth") / "faces"
    make(root, RECIPE, processes=1)
    return root


def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "faces"))


def content(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.iterdir())}


def reader(root: Path) -> SynthFaces:
    return SynthFaces(root, RECIPE.identities, RECIPE.pictures, RECIPE.pairs, RECIPE.seed)


def test_it_is_an_ordinary_set(made: Path) -> None:
    faces = reader(made)
    assert sorted(content(made)) == FILES
    assert (len(faces), faces.classes, faces.labels.tolist()) == (6, 3, [0, 0, 1, 1, 2, 2])
    assert decode(faces.read(5)).shape == (112, 112, 3)
    assert str(made) in faces.name(0)
    assert len(faces.fingerprint()) == 64


def test_pairs_have_both_kinds_in_every_fold(made: Path) -> None:
    for name in ("synthfaces_dev.bin", "synthfaces_test.bin"):
        pairs = read_pairs(made / name)
        assert len(pairs) == RECIPE.pairs
        assert [fold.mean() for fold in np.array_split(pairs.same, FOLDS)] == [0.5] * FOLDS
        images = pairs.images.numpy().reshape(len(pairs), 2, -1)
        assert all(not np.array_equal(a, b) for a, b in images)


def test_held_out_sets_share_no_picture(made: Path) -> None:
    faces = reader(made)
    train = {decode(faces.read(i)).tobytes() for i in range(len(faces))}
    sets = [
        {
            image.permute(1, 2, 0).contiguous().numpy().tobytes()
            for image in read_pairs(made / f"synthfaces_{n}.bin").images
        }
        for n in ("dev", "test")
    ]
    assert not train & sets[0]
    assert not train & sets[1]
    assert not sets[0] & sets[1]


def test_default_sets_are_of_some_hundred_people() -> None:
    assert held_out_people(FacesRecipe(1000, 12, 3000, 1)) == 300


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(made: Path, tmp_path: Path) -> None:
    make(tmp_path / "faces", RECIPE, processes=2)
    assert content(tmp_path / "faces") == content(made)


def test_a_whole_folder_is_left_alone(made: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    make(made, RECIPE)
    assert {path: path.stat().st_mtime_ns for path in made.iterdir()} == before


@pytest.mark.parametrize("name", ["train.rec", "property", "synthfaces_test.bin"])
@pytest.mark.parametrize("spoil", [lambda p: p.unlink(), lambda p: p.write_bytes(b"x" + p.read_bytes()[1:])])
def test_a_damaged_folder_is_made_again(made: Path, tmp_path: Path, monkeypatch, name: str, spoil) -> None:
    root = copy(made, tmp_path)
    spoil(root / name)
    monkeypatch.setattr("distill.data.synth.generate._fill", lambda folder, *_: _copy_files(made, folder))
    make(root, RECIPE)
    assert content(root) == content(made)


def _copy_files(source: Path, folder: Path) -> None:
    for path in source.iterdir():
        if path.name != MANIFEST:
            shutil.copy(path, folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is damaged or no manifest"),
        ("[]", "is damaged or no manifest"),
        ('{"recipe": 3, "sha256": {}}', "is damaged or no manifest"),
        ('{"recipe": {"seed": 9}, "sha256": {}}', "of another recipe .*seed 9, not 4"),
    ],
)
def test_a_strange_manifest_is_refused_in_one_line(made: Path, tmp_path: Path, text: str, reason: str) -> None:
    root = copy(made, tmp_path)
    (root / MANIFEST).write_text(text)
    with pytest.raises(UserError, match=reason) as caught:
        reader(root)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (root / "train.rec").exists()


def test_another_version_is_another_recipe(made: Path, tmp_path: Path) -> None:
    root = copy(made, tmp_path)
    manifest = json.loads((root / MANIFEST).read_text())
    manifest["recipe"]["version"] -= 1
    (root / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="version"):
        reader(root)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=f"holds no {MANIFEST}"):
        reader(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces").write_text("")
    with pytest.raises(UserError, match="is a file"):
        reader(tmp_path / "faces")


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("identities", 0, "1 to 16777216"),
        ("pictures", 0, "1 to"),
        ("pairs", 20, "40 to"),
        ("pairs", 50, "a multiple of 20"),
        ("seed", -1, "0 to 4294967295"),
        ("seed", 1 << 32, "0 to 4294967295"),
    ],
)
def test_bad_numbers_are_refused(tmp_path: Path, option: str, value: int, expected: str) -> None:
    node = {"_target_": "distill.data.synth.dataset.SynthFaces", option: value}
    with pytest.raises(UserError, match=rf"data.reader.{option} is {value}; expected {expected}"):
        build(node, "data.reader", root=tmp_path / "faces")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_after_kill_9_the_next_one_starts_cleanly(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "faces"
    making = f"make(Path({str(root)!r}), FacesRecipe(3000, 2, 40, 4), processes=1)"
    line = f"from distill.data.synth.generate import *; {making}"
    process = subprocess.Popen([sys.executable, "-c", line], cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL)
    partial = root.with_name(".faces.partial")
    deadline = time.monotonic() + 60
    while not (partial / "train.rec").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (partial / "train.rec").exists()
    assert not root.exists()
    make(root, RECIPE, processes=1)
    assert content(root) == content(made)
    assert not partial.exists()


def helpers(parent: int) -> list[int]:
    """The processes that draw for ``parent``."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def ignores_interruptions(pid: int) -> bool:
    """Whether a helper has begun: what it does first is to leave Ctrl-C to its parent."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(mask, 16) >> (signal.SIGINT - 1) & 1)


@pytest.fixture
def drawing(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in which two helpers are drawing many faces.

    A shell ignores interruptions for what it starts in the background, a test run among it; the process does not.
    """
    making = f"make(Path({str(tmp_path / 'faces')!r}), FacesRecipe(3000, 2, 40, 4), processes=2)"
    heeding = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    line = f"import signal\nfrom distill.data.synth.generate import *\nif __name__ == '__main__': {heeding}; {making}"
    process = subprocess.Popen(
        [sys.executable, "-c", line],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and len([pid for pid in helpers(process.pid) if ignores_interruptions(pid)]) < 2:
        assert time.monotonic() < deadline, "helpers do not begin"
        time.sleep(0.05)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_a_helper_that_is_killed_is_told(drawing: subprocess.Popen[str]) -> None:
    os.kill(helpers(drawing.pid)[0], signal.SIGKILL)
    _, err = drawing.communicate(timeout=30)
    assert "UserError: a process that draws faces was killed" in err


@pytest.mark.slow
def test_an_interruption_ends_the_helpers_without_a_word_from_them(drawing: subprocess.Popen[str]) -> None:
    at_work = helpers(drawing.pid)
    for pid in (drawing.pid, *at_work):  # a terminal interrupts all of them
        os.kill(pid, signal.SIGINT)
    _, err = drawing.communicate(timeout=30)
    assert err.count("Traceback") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert not any(Path(f"/proc/{pid}").exists() for pid in at_work)


@pytest.mark.slow
def test_helpers_do_not_outlive_a_parent_that_is_killed(drawing: subprocess.Popen[str]) -> None:
    at_work = helpers(drawing.pid)
    assert len(at_work) == 2
    drawing.kill()
    drawing.wait()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in at_work):
        assert time.monotonic() < deadline, "helpers are still there"
        time.sleep(0.05)


def test_it_is_named_by_its_recipe_and_not_by_its_pixels(made: Path, tmp_path: Path) -> None:
    """On another machine a pixel may be rounded otherwise; what was stored of the set stays valid there."""
    faces = reader(made)
    assert faces.fingerprint() == reader(copy(made, tmp_path)).fingerprint()
    assert faces.digest(3, b"one rounding") == faces.digest(3, b"another") != faces.digest(4, b"one rounding")
    other = FacesRecipe(3, 2, 40, seed=5)
    assert other.identity() != RECIPE.identity()


def test_pairs_are_named_by_their_recipe_while_they_are_what_was_made(made: Path, tmp_path: Path) -> None:
    root = copy(made, tmp_path)
    dev, test = (identity_of(root / name) for name in ("synthfaces_dev.bin", "synthfaces_test.bin"))
    assert dev is not None
    assert dev != test
    pairs = replace(read_pairs(root / "synthfaces_dev.bin"), identity=dev)
    rounded = replace(pairs, images=pairs.images.clone().clamp(max=200))
    assert pairs.fingerprint() == rounded.fingerprint() != replace(pairs, identity=None).fingerprint()
    shutil.copy(root / "synthfaces_test.bin", root / "synthfaces_dev.bin")
    assert identity_of(root / "synthfaces_dev.bin") is None
    shutil.copy(root / "synthfaces_dev.bin", tmp_path / "lfw.bin")
    assert identity_of(tmp_path / "lfw.bin") is None
