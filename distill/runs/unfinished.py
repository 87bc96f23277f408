"""Work that was begun and not finished: what a new command is nearly the same as is named before new work begins."""

from __future__ import annotations

import datetime
import logging
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from distill.errors import UserError
from distill.files.lock import Held, open_locked
from distill.runs.folder import ABSENT, CONFIG, RunFolder, differences
from distill.runs.signal_writing import missing_shards
from distill.signals.manifest import MANIFEST, SignalManifest, first_difference, read_manifest

MOST_DIFFERENCES = 3
_PLAIN = re.compile(r"[\w./:@%+-]+")


_log = logging.getLogger(__name__)


def report_unfinished(root: Path, name: str, conf: Any) -> None:
    """A line for each unfinished run below ``root`` whose options are nearly those of ``conf``: the difference, and
    what continues it. Nothing where the run ``name`` is there already."""
    if (root / name / CONFIG).exists():
        return
    for folder in _unfinished(root):
        try:
            found = differences(folder.file(CONFIG), conf)
        except (OSError, ValueError, yaml.YAMLError, AttributeError):
            continue  # another run's broken file is not this run's fault
        if len(found) <= MOST_DIFFERENCES:
            _log.warning("%s", _line(folder, found))


def _unfinished(root: Path) -> Iterator[RunFolder]:
    """Runs with a checkpoint and no result that no process is at."""
    for config in sorted(root.glob(f"*/{CONFIG}")):
        folder = RunFolder(config.parent)
        if not folder.path.is_symlink() and not folder.finished and folder.checkpoint.exists() and _free(folder):
            yield folder


def _free(folder: RunFolder) -> bool:
    """Whether no process works in a run's folder."""
    with suppress(OSError, UserError, Held), open_locked(folder.lock):
        return True
    return False


def _line(folder: RunFolder, found: dict[str, tuple[Any, Any]]) -> str:
    when = datetime.datetime.fromtimestamp(folder.checkpoint.stat().st_mtime).isoformat(" ", "minutes")
    differences = ", ".join(
        f"{key} is {_spelt(theirs)} there and {_spelt(ours)} here" for key, (theirs, ours) in found.items()
    )
    differences = differences or "its options are the same, but not its name, its images or its weights"
    typed = [f"run.name={_spelt(folder.path.name)}", *(_override(key, *both) for key, both in found.items())]
    return (
        f"unfinished {folder.path}, last checkpoint {when}: {differences}; to continue it, add "
        f"{' '.join(map(shlex.quote, typed))} to this command. Now another run begins"
    )


def _override(key: str, theirs: Any, ours: Any) -> str:
    """What turns our value of an option into theirs, which may have no such option at all."""
    if theirs is ABSENT:
        return f"~{key}"
    return f"{'+' if ours is ABSENT else ''}{key}={_spelt(theirs)}"


def _spelt(value: Any) -> str:
    """A value as the command line takes it."""
    if value is ABSENT:
        return "nothing"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_spelt, value))}]"
    text = str(value)
    return text if _PLAIN.fullmatch(text) else "'" + text.replace("'", "\\'") + "'"


def report_unfinished_signals(folder: Path, wanted: SignalManifest) -> None:
    """A line for each unfinished store beside a new ``folder`` of the same teacher and faces: in what it differs."""
    if (folder / MANIFEST).exists():
        return
    for path in sorted(folder.parent.glob(f"*/{MANIFEST}")):
        with suppress(UserError):
            found = read_manifest(path.parent)
            missing = len(missing_shards(path.parent, found))
            same = (found.teacher, found.data) == (wanted.teacher, wanted.data)
            difference = first_difference(_stored_of_each(found), _stored_of_each(wanted))
            if missing and same and difference is not None:
                _log.warning(
                    "unfinished %s, %d of %d shards missing: %s; to continue it, give its options. Now others begin",
                    path.parent,
                    missing,
                    found.shards,
                    difference,
                )


def _stored_of_each(manifest: SignalManifest) -> dict[str, Any]:
    return {"views": manifest.views, "arrays": manifest.arrays}
