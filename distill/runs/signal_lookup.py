"""Which store of signals suits a run, if any: it has to be of this teacher, these faces and these views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from distill.config.groups import Precision, TeacherConf
from distill.data.augment import Augmentation
from distill.data.faceset import FaceSet
from distill.errors import UserError
from distill.files.json_file import through_json
from distill.signals.manifest import MANIFEST, SignalManifest, first_difference, read_manifest
from distill.signals.store import views_of
from teachers.teacher import Teacher

AUTO, LIVE = "auto", "live"
ROOT = Path("signals")
"""Where ``make signals`` writes and ``signals=auto`` looks; then among those that the package ships."""


@dataclass(frozen=True)
class Wanted:
    """What a store has to be of. Without weights a teacher is identified by name and network only.

    ``precision`` is that of the teacher's arithmetic where somebody asked for one.
    """

    teacher: Mapping[str, Any]
    data: Mapping[str, Any]
    augment: Augmentation
    seed: int
    precision: str | None = None

    def difference(self, manifest: SignalManifest) -> str | None:
        """The first thing in which a store is not what is wanted, in words; None where it is."""
        asked = {"teacher": self.teacher, "data": self.data}
        found = first_difference({"teacher": manifest.teacher, "data": manifest.data}, asked)
        if found is not None:
            return found
        if (found := other_precision(manifest, self.precision)) is not None:
            return found
        try:
            views = views_of(manifest, self.augment, self.seed)
        except UserError as error:
            return str(error)
        return first_difference({"views": manifest.views}, {"views": views.described()})


def described_teacher(conf: TeacherConf, teacher: Teacher | None) -> dict[str, Any]:
    """What identifies a teacher."""
    known: dict[str, Any] = {"name": conf.name, "network": conf.network}
    if conf.layout is not None:
        known["layout"] = conf.layout.value
    if teacher is not None and teacher.file is not None:
        known |= {
            "sha256": teacher.file.sha256,
            "preprocessing": through_json(asdict(teacher.preprocessing)),
            "embedding_dim": teacher.embedding_dim,
        }
    return known


def asked_precision(conf: TeacherConf) -> str | None:
    """The precision that a store has to be of; None where the fastest is good enough, and so is what is there."""
    return None if conf.precision is Precision.auto else conf.precision.value


def other_precision(manifest: SignalManifest, asked: str | None) -> str | None:
    """In words, where a store was made with another precision than the one asked for."""
    return None if asked is None else first_difference(manifest.software, {"precision": asked}, "teacher")


def described_data(faces: FaceSet) -> dict[str, Any]:
    """What identifies a set of faces."""
    return {"images": len(faces), "classes": faces.classes, "fingerprint": faces.fingerprint()}


def find_folder(signals: str, wanted: Wanted) -> tuple[Path | None, str]:
    """The folder of the store to use, or None and why there is none.

    ``signals`` is "live", "auto" or a path. A path whose store does not match is a ``UserError``.
    """
    if signals == LIVE:
        return None, "signals=live"
    if signals != AUTO:
        folder = Path(signals)
        if (difference := wanted.difference(read_manifest(folder))) is not None:
            raise UserError(
                f"the signals in {folder} are not those of this run: {difference}; expected the same: make them again "
                "with `make signals` and this run's options, or give signals=auto or signals=live"
            )
        return folder, ""
    return _first_match(wanted)


def _first_match(wanted: Wanted) -> tuple[Path | None, str]:
    """The first store that matches, or the reason of the one that comes nearest: same teacher and same data."""
    why = "none are stored for this teacher and these faces (`make signals` stores them)"
    for folder in _stores():
        try:
            manifest = read_manifest(folder)
        except UserError:
            continue  # signals=auto skips a broken store
        difference = wanted.difference(manifest)
        if difference is None:
            return folder, ""
        if first_difference(manifest.data, wanted.data) is None and manifest.teacher["name"] == wanted.teacher["name"]:
            why = f"those in {folder} do not match: {difference}"
    return None, why


def stored_teachers() -> set[str]:
    """The names of the teachers that some store is of, whatever else it is."""
    names = set()
    for folder in _stores():
        with suppress(UserError):
            names.add(read_manifest(folder).teacher.get("name"))
    return names


def _stores() -> Iterator[Path]:
    """Every folder with a manifest: the user's own first, then those that are shipped."""
    shipped = resources.files("teachers") / "signals"
    for root in (ROOT, Path(str(shipped))):
        yield from sorted(path.parent for path in root.glob(f"*/{MANIFEST}"))
