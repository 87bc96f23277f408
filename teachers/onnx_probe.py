"""How to run an ONNX embedding file: found by running it, because its declarations may be wrong.

Exporters rename the first dimension of a graph that was traced with one image, fix the batch of one that takes any, and
declare channels first where they are last. So a few crops of noise are run: eight as a batch, which is fast, and some
of them singly. Only a file with the same embeddings both ways is run in batches; others image by image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.errors import UserError
from distill.types import CROP_PX, Preprocessing
from teachers.onnx_session import Session, SessionFailed, open_undeclared

FREE_BATCH = 8  # images per run of a file with a free batch: with more, cache misses cost more than fewer calls save
DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_OTHER_BATCHES = (2, 4, 16, 32, 64, 128)
_ALONE = (0, FREE_BATCH // 2, FREE_BATCH - 1)  # images of the batch that are also run singly: first, middle, last
# relative to the largest value: batches sum in another order; float16 differs more
_TOLERANCE, _HALF_TOLERANCE = 1e-3, 1e-2
_USUAL_WIDTHS = range(32, 4097)
_AXES = {"NCHW": (0, 1, 2, 3), "NHWC": (0, 2, 3, 1), "CHW": (0, 1, 2, 3), "HWC": (0, 2, 3, 1)}
_SIZES = {"NCHW": (3, CROP_PX, CROP_PX), "NHWC": (CROP_PX, CROP_PX, 3)}
_UNBATCHED = {"NCHW": "CHW", "NHWC": "HWC"}


@dataclass(frozen=True)
class Way:
    """A way to run a file: crops in ``layout``, ``batch`` at a time (None: any number), read from ``output``.

    ``width`` is that of the embedding; ``notes`` are differences from the file's declarations.
    """

    session: Session
    layout: str
    batch: int | None
    output: str
    width: int
    notes: tuple[str, ...] = ()

    def run(self, crops: Tensor) -> Tensor:
        """Preprocessed crops [b 3 112 112] to float32 embeddings [b d]; b is ``batch``. Raises ``SessionFailed``."""
        (found,) = self.session.run([self.output], _as_input(self.session, self.layout, crops))
        return torch.from_numpy(np.asarray(found, np.float32).reshape(len(crops), self.width))


def find_way(path: Path, session: Session, preprocessing: Preprocessing, width: int | None) -> Way:
    """The way to run a file; ``width`` is that of the wanted output, by default any above 1.

    Raises UserError where there is none, with what was tried.
    """
    layouts = _layouts(path, session)
    crops = preprocessing(_noise(FREE_BATCH))
    batch = session.declared[0] if len(session.declared) == 4 else None
    tries = [_Try(session, layout, crops, width) for layout in layouts] if session.strict else []
    found = next((way for one in tries if (way := one.way(batch))), None)
    if found is None and (free := _undeclared(path, session)):
        every = _UNBATCHED.values() if len(session.declared) == 3 else _UNBATCHED
        more = [_Try(free, layout, crops, width) for layout in dict.fromkeys((*layouts, *every))]
        found = next((way for one in more if (way := one.way(None, batch))), None)
        tries += more
    if found is None:
        raise UserError(_refusal(path, tries, width))
    return Way(
        found.session, found.layout, found.batch, found.output, found.width, tuple(_notes(session, layouts, found))
    )


def _undeclared(path: Path, session: Session) -> Session | None:
    if not session.strict:
        return session
    return open_undeclared(path) if any(size is not None for size in session.declared) else None


def _layouts(path: Path, session: Session) -> list[str]:
    """The layouts that fit the declaration, none if it contradicts both; UserError for another input."""
    if len(session.inputs) != 1:
        raise UserError(f"{path} has {len(session.inputs)} inputs ({', '.join(session.inputs)}); expected 1, the crops")
    sizes = session.declared
    if session.type not in DTYPES or len(sizes) not in (0, 3, 4):
        raise UserError(
            f"{path} takes {session.type} {session.shape}; expected crops [b 3 {CROP_PX} {CROP_PX}] in float32, "
            "float16, float64 or uint8"
        )
    image = sizes[-3:] or [None] * 3
    if any(size not in (None, 3, CROP_PX) for size in image):
        raise UserError(f"{path} takes input {session.shape}; expected [b 3 {CROP_PX} {CROP_PX}]")
    fits = [name for name, whole in _SIZES.items() if all(s in (None, w) for s, w in zip(image, whole, strict=True))]
    return [_UNBATCHED[name] for name in fits] if len(sizes) == 3 else fits


class _Try:
    """One layout of one session: its outputs for one image, for eight, and for other batch sizes."""

    def __init__(self, session: Session, layout: str, crops: Tensor, width: int | None) -> None:
        self.session, self.layout, self._crops, self._width = session, layout, crops, width
        self.failures: dict[int, str] = {}
        self.unfit: str | None = None
        self.mixed = False

    def way(self, declared: int | None, other: int | None = None) -> Way | None:
        """The way to run it at the declared batch, else at any; ``other`` is one more number that may do."""
        if declared is not None:
            return self._alone() if declared == 1 else self._fixed(declared)
        if self.layout in _UNBATCHED.values():
            return self._alone()
        if self._singles[0]:
            return self._free() or self._alone()
        return next(filter(None, map(self._fixed, self._others(other))), None)

    def _others(self, other: int | None) -> Iterator[int]:
        yield from dict.fromkeys(batch for batch in (FREE_BATCH, other, *_OTHER_BATCHES) if batch not in (None, 1))

    def _free(self) -> Way | None:
        """A free batch, if eight images together give the same as each singly."""
        alike = self._fitting(self._singles[0], 1)
        together = self._run(self._crops) if alike else {}
        fits = [name for name in self._fitting(together, FREE_BATCH) if name in alike]
        if not fits:
            return None
        way = self._made(None, fits, together, FREE_BATCH)
        name = way.output
        alone = np.concatenate([single[name].reshape(1, -1) for single in self._singles])
        if not self._agree(together[name].reshape(FREE_BATCH, -1)[list(_ALONE)], alone):
            self.mixed = True
            return None
        return way

    def _alone(self) -> Way | None:
        fits = self._fitting(self._singles[0], 1)
        return self._made(1, fits, self._singles[0], 1) if fits else None

    def _fixed(self, batch: int) -> Way | None:
        """A fixed batch, if an image gives the same at the other end of the batch, among other images."""
        crops = self._crops.repeat(-(-batch // FREE_BATCH), 1, 1, 1)[:batch]  # (batch, 3, 112, 112)
        first = self._run(crops)
        fits = self._fitting(first, batch)
        if not fits:
            return None
        way = self._made(batch, fits, first, batch)
        # the first image last, among dimmed others: catches statistics over the batch and outputs by position
        moved = self._run(torch.cat([crops[1:] * 0.5, crops[:1]])).get(way.output)
        if moved is None or not self._agree(first[way.output][:1], moved[-1:]):
            self.mixed = True
            return None
        return way

    @cached_property
    def _singles(self) -> list[dict[str, np.ndarray]]:
        found = [self._run(self._crops[row : row + 1]) for row in _ALONE]
        return found if all(found) else [{}] * len(_ALONE)

    def _run(self, crops: Tensor) -> dict[str, np.ndarray]:
        """All outputs by name; none where it fails."""
        names = self.session.outputs
        try:
            found = self.session.run(names, _as_input(self.session, self.layout, crops))
        except SessionFailed as failure:
            self.failures[len(crops)] = str(failure)
            return {}
        return dict(zip(names, found, strict=True))

    def _fitting(self, found: dict[str, np.ndarray], batch: int) -> list[str]:
        """Outputs that hold one vector for each image: [b d], with dimensions of 1 anywhere, for one image [d] too."""
        fits = [name for name, value in found.items() if self._fits(value, batch)]
        if found and not fits and self.unfit is None:
            self.unfit = ", ".join(f"{name} {list(getattr(value, 'shape', ()))}" for name, value in found.items())
        return fits

    def _fits(self, value: np.ndarray, batch: int) -> bool:
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
            return False
        width = value.size // batch  # values per image
        rows = batch == 1 or value.shape[0] == batch
        sides = [side for side in (value.shape if batch == 1 else value.shape[1:]) if side != 1]
        return rows and sides in ([], [width]) and (width > 1 if self._width is None else width == self._width)

    def _agree(self, some: np.ndarray, others: np.ndarray) -> bool:
        half = some.dtype == np.float16 or DTYPES[self.session.type] == np.float16
        some, others = (np.asarray(values, np.float64).reshape(len(values), -1) for values in (some, others))
        largest = float(np.abs(others[np.isfinite(others)]).max(initial=0.0))
        # absolute: small components carry the rounding of large ones
        limit = largest * (_HALF_TOLERANCE if half else _TOLERANCE)
        return some.shape == others.shape and np.allclose(some, others, rtol=0, atol=limit, equal_nan=True)

    def _made(self, batch: int | None, fits: Sequence[str], found: dict[str, np.ndarray], rows: int) -> Way:
        """Read the output named like an embedding, else the first of a usual width, else the first."""
        widths = {name: found[name].size // rows for name in fits}
        name = min(fits, key=lambda name: ("embed" not in name.lower(), widths[name] not in _USUAL_WIDTHS))
        return Way(self.session, self.layout, batch, name, widths[name])


def _as_input(session: Session, layout: str, crops: Tensor) -> np.ndarray:
    """Crops [b 3 112 112] in a file's layout and dtype."""
    array = crops.numpy().transpose(_AXES[layout])
    # files without a batch dimension take one image
    array = array[0] if layout in _UNBATCHED.values() else array
    dtype = DTYPES[session.type]
    return np.ascontiguousarray(np.rint(array) if dtype == np.uint8 else array, dtype)


def _noise(count: int) -> Tensor:
    """Crops uint8 [count 3 112 112] of rising contrast, so that statistics over the batch change the outputs."""
    pixels = torch.randint(0, 256, (count, 3, CROP_PX, CROP_PX), generator=torch.Generator().manual_seed(0))
    contrast = torch.arange(1, count + 1).view(-1, 1, 1, 1) / count
    return (pixels * contrast).to(torch.uint8)


def _notes(session: Session, layouts: Sequence[str], way: Way) -> Iterator[str]:
    """Notes for the user: differences from the file's declarations, and the output that is read."""
    declared = session.declared
    if way.layout not in layouts:
        yield f"it declares the input {session.shape} and takes {way.layout}"
    batch = declared[0] if len(declared) == 4 else None
    if len(declared) != 3 and way.batch != batch:
        says = "an open batch" if batch is None else f"batches of {batch}"
        yield f"it declares {says} and {_runs(way.batch)}"
    if len(session.outputs) > 1:
        yield f"it has {len(session.outputs)} outputs; the embedding is read from {way.output!r}"


def _runs(batch: int | None) -> str:
    if batch is None:
        return "runs with any"
    return "is run image by image" if batch == 1 else f"is run with {batch} images at a time, padded"


def _refusal(path: Path, tries: Sequence[_Try], width: int | None) -> str:
    """Why no way was found: it ran without an embedding output, or the error of what was tried."""
    wanted = "embedding output [b d]" if width is None else f"output [b {width}]"
    if unfit := next((one.unfit for one in tries if one.unfit is not None), None):
        return f"{path} has no {wanted}; it gives {unfit}"
    failed = [(one.layout, batch, error) for one in tries for batch, error in one.failures.items()]
    layouts = " and ".join(dict.fromkeys(layout for layout, _, _ in failed))
    batches = ", ".join(map(str, dict.fromkeys(batch for _, batch, _ in failed)))
    reason = min(failed, key=lambda failure: failure[1] != 1)[2] if failed else "its declaration fits no crop"
    if any(one.mixed for one in tries):
        reason = "its output for an image changes with the other images of a batch, and it takes none alone"
    return f"{path} gives no {wanted} in any way that was tried ({layouts}; {batches} images at a time): {reason}"
