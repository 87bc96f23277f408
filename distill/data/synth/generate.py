"""Generates a data set of synthetic faces, in several processes, into a folder that appears atomically."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import cv2
import numpy as np

from distill.data.pairs import write_pairs
from distill.data.prefetch import ahead
from distill.data.records import RecordWriter
from distill.data.synth.nuisance import EVERYDAY
from distill.data.synth.recipe import FOLDS, FacesRecipe, is_made, write_manifest
from distill.data.synth.render import Sitter
from distill.data.synth.streams import Key, Split
from distill.errors import UserError
from distill.files.durable import discard, placed
from distill.files.lock import open_locked
from distill.progress import waiting

PAIR_FILES = {Split.validation: "synthfaces_dev.bin", Split.test: "synthfaces_test.bin"}
"""The validation set sorts first by name, hence is the main one."""
_HELD_OUT_PICTURES = 6
_PAIRS_PER_PERSON = 5


class Sitting(NamedTuple):
    """One person's pictures, the unit of work."""

    key: Key
    pictures: int


def make(root: Path, recipe: FacesRecipe, processes: int | None = None) -> None:
    """Generate the folder unless it is complete. A second process waits for the first.

    A killed run leaves a folder ``.ROOT.partial``, which the next one removes. The result depends only on the recipe,
    not on the number of processes.
    """
    root = root.absolute()
    root.parent.mkdir(parents=True, exist_ok=True)
    with open_locked(root.with_name(f".{root.name}.lock"), wait=True):
        if is_made(root, recipe):
            return
        with placed(root, root.with_name(f".{root.name}.partial")) as partial:
            _fill(partial, recipe, processes or len(os.sched_getaffinity(0)))
            write_manifest(partial, recipe)
            discard(root)  # of this recipe but damaged, or empty: ``is_made`` refuses everything else


def _fill(folder: Path, recipe: FacesRecipe, processes: int) -> None:
    people = {Split.train: recipe.identities, **dict.fromkeys(PAIR_FILES, held_out_people(recipe))}
    counts = {Split.train: recipe.pictures, **dict.fromkeys(PAIR_FILES, _HELD_OUT_PICTURES)}
    sittings = [
        Sitting(Key(recipe.seed, split, i), counts[split]) for split, count in people.items() for i in range(count)
    ]
    total = sum(s.pictures for s in sittings)
    with waiting("making synthetic faces", total, "pictures") as progress, _pictured(sittings, processes) as made:
        taken = _counted(made, progress)
        writer = RecordWriter(folder)
        for _ in range(people[Split.train]):
            writer.person(next(taken))
        writer.close()
        for split, name in PAIR_FILES.items():
            albums = [next(taken) for _ in range(people[split])]
            write_pairs(folder / name, *_pairs(albums, recipe.pairs, Key(recipe.seed, split, 0)))


@contextmanager
def _pictured(sittings: list[Sitting], processes: int) -> Iterator[Iterator[list[bytes]]]:
    """The pictures of every sitting, in order. Spawned, because a fork would copy locks that other threads hold."""
    _sit(Sitting(sittings[0].key, 1))  # compiles the kernels once, for all processes to load
    processes = min(processes, len(sittings))
    if processes == 1:
        yield map(_sit, sittings)
        return
    others = set(active_children())
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin_helper) as pool:
        try:
            yield ahead(pool, _sit, sittings, depth=8 * processes)
        except BrokenProcessPool:
            raise UserError(
                "a process that draws faces was killed, perhaps for want of memory; run the same command again"
            ) from None
        except KeyboardInterrupt:
            for helper in set(active_children()) - others:
                helper.terminate()  # else they would wait forever, and ignore Ctrl-C
            raise


def _begin_helper() -> None:
    """Use one core, leave Ctrl-C to the parent process, and end with the parent."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _counted(made: Iterator[list[bytes]], progress: Callable[[int], None]) -> Iterator[list[bytes]]:
    """The same, and ``progress`` is called with each person's number of pictures."""
    for pictures in made:
        progress(len(pictures))
        yield pictures


def _sit(sitting: Sitting) -> list[bytes]:
    sitter = Sitter(sitting.key)
    return [sitter.picture(number, EVERYDAY) for number in range(sitting.pictures)]


def held_out_people(recipe: FacesRecipe) -> int:
    """Number of people for each set of pairs: equally many in every fold, at least two."""
    return FOLDS * max(2, -(-recipe.pairs // (2 * FOLDS * _PAIRS_PER_PERSON)))


def _pairs(albums: list[list[bytes]], pairs: int, key: Key) -> tuple[list[bytes], list[bool]]:
    """Encoded images (two for every pair) and labels; no person is in two folds, genuine pairs come first."""
    rng = np.random.default_rng([key.seed, int(key.split), len(albums)])
    images: list[bytes] = []
    same: list[bool] = []
    for people in np.array_split(np.arange(len(albums)), FOLDS):
        half = pairs // FOLDS // 2
        chosen = [_alike(people, k, rng) for k in range(half)] + [_different(people, rng) for _ in range(half)]
        images += [albums[person][picture] for pair in chosen for person, picture in pair]
        same += [True] * half + [False] * half
    return images, same


def _alike(people: np.ndarray, turn: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Two pictures of one person; people take turns."""
    first, second = rng.choice(_HELD_OUT_PICTURES, 2, replace=False).tolist()
    person = int(people[turn % len(people)])
    return [(person, first), (person, second)]


def _different(people: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pictures of two people."""
    pictures = rng.integers(_HELD_OUT_PICTURES, size=2).tolist()
    return list(zip(rng.choice(people, 2, replace=False).tolist(), pictures, strict=True))
