"""The folder of a run: results of finished blocks, shared by all processes that score the same pairs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.claims import Claims
from distill.metrics.allpairs.cumulative import AllSteps, map_array, write_array
from distill.metrics.allpairs.pairing import Pairing
from distill.metrics.allpairs.worker import BlockScores

INPUTS = "inputs.json"
MOST_BLOCK_ROWS, LEAST_BLOCK_ROWS, BLOCKS_OF_A_SIDE = 16384, 64, 8
"""A block is seconds of work, and there are enough of them for several processes."""


WAIT_S = 0.5


@dataclass(frozen=True)
class Block:
    """Pairs of these rows of the gallery with those of the other side; ``number`` counts from 0."""

    number: int
    left: range
    right: range

    def pairs(self, pairing: Pairing) -> int:
        """How many pairs it holds."""
        if pairing.probes is None and self.left == self.right:
            return len(self.left) * (len(self.left) - 1) // 2
        return len(self.left) * len(self.right)


def blocks_of(pairing: Pairing) -> list[Block]:
    """All blocks of a pairing; with one set those on and above the diagonal. The same for every process."""
    # depends on the numbers of rows only, so that all processes agree on the blocks
    left, right = (_stretches(len(faces)) for faces in (pairing.gallery, pairing.right))
    couples = [(a, b) for a in left for b in right if pairing.probes is not None or b.start >= a.start]
    return [Block(number, *couple) for number, couple in enumerate(couples)]


def _stretches(rows: int) -> list[range]:
    size = min(MOST_BLOCK_ROWS, max(LEAST_BLOCK_ROWS, -(-rows // BLOCKS_OF_A_SIDE)))
    return [range(first, min(first + size, rows)) for first in range(0, rows, size)]


class WorkFolder:
    """Finished blocks of one run. ``UserError`` where the folder belongs to other inputs."""

    def __init__(self, folder: Path, inputs: Mapping[str, Any]) -> None:
        self._folder = folder
        path = folder / INPUTS
        text = json.dumps(dict(inputs), indent=1, sort_keys=True) + "\n"
        if not path.exists():
            write_atomic(path, text.encode())
        if path.read_text("utf-8") != text:
            raise UserError(f"{path} is of other features, identities or FPRs than these; give another work folder")

    def finish(
        self,
        turn: int,
        blocks: Sequence[Block],
        score: Callable[[range, range], BlockScores],
        progress: Callable[[Block], None],
    ) -> None:
        """Score the missing blocks of a turn that no other process has claimed, and wait for the others.

        Blocks that another process claimed and did not finish, because it died, are claimed again here. A block is
        sorted and written while the next one is scored.
        """
        missing = list(blocks)
        with closing(Claims(self._folder)) as claims, ThreadPoolExecutor(1) as writer:
            while missing:
                left: list[Block] = []
                written: list[tuple[Block, Future[None]]] = []
                for block in missing:
                    if self._path(turn, block, "steps").exists():
                        progress(block)
                    # one number per block and turn, because claims are by number
                    elif not claims.take(turn * len(blocks) + block.number):
                        left.append(block)
                    else:
                        scores = score(block.left, block.right)
                        _await(written, progress)
                        written = [(block, writer.submit(self._write, turn, block, scores))]
                _await(written, progress)
                if len(left) == len(missing):
                    # every missing block is claimed by others: poll until they finish or die
                    time.sleep(WAIT_S)
                missing = left

    def steps(self, turn: int, blocks: Sequence[Block]) -> AllSteps:
        """The step functions of all blocks together."""
        return AllSteps([map_array(self._path(turn, block, "steps")) for block in blocks])

    def kept(self, turn: int, block: Block) -> NDArray:
        """The pairs of a block that were kept with their rows."""
        return map_array(self._path(turn, block, "kept"))

    def _write(self, turn: int, block: Block, scores: BlockScores) -> None:
        steps, kept = scores.together()
        write_array(self._path(turn, block, "kept"), kept)
        write_array(self._path(turn, block, "steps"), steps)  # last: its existence marks a finished block

    def _path(self, turn: int, block: Block, what: str) -> Path:
        return self._folder / f"{what}-{turn}-{block.number:06d}.npy"


def _await(written: Sequence[tuple[Block, Future[None]]], progress: Callable[[Block], None]) -> None:
    for block, writing in written:
        writing.result()
        progress(block)
