"""What decides the result of a run: its configuration, and the contents of every file that it reads.

A path does not identify the contents. So a run's name changes with the contents, and a folder whose name was chosen
remembers them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from distill.config.groups import StudentConf
from distill.data.pairs import Pairs
from distill.errors import UserError
from distill.files.atomic import write_atomic
from distill.files.network_file import network_sha256
from distill.runs.centres_file import CENTRES
from distill.runs.folder import STUDENT_WEIGHTS, RunFolder

IDENTITY = "identity.txt"


@dataclass(frozen=True)
class RunIdentity:
    """A hash of the configuration, and by the names of options what identifies the contents of the inputs."""

    configuration: str
    inputs: Mapping[str, str]

    @property
    def digits(self) -> str:
        """Eight of them, which change with whatever changes the result."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:8]

    def text(self) -> str:
        """A line for each, as ``identity.txt`` has them."""
        lines = {"configuration": self.configuration, **self.inputs}
        return "".join(f"{name} {value}\n" for name, value in lines.items())


def remember(folder: RunFolder, identity: RunIdentity) -> None:
    """Leave the identity in a folder that is new; ``UserError`` where the run there has read something else."""
    mark = folder.file(IDENTITY)
    if not mark.exists():
        write_atomic(mark, identity.text().encode())
        return
    known = dict(line.split(" ", 1) for line in mark.read_text("utf-8").splitlines() if " " in line)
    for name, value in identity.inputs.items():
        if (before := known.get(name, "nothing")) != value:
            raise UserError(
                f"{folder.path} is a run with other contents of {name}: {_short(before)} there and {_short(value)} "
                "now; expected the same in a run of this name: put that back, or give another run.name"
            )


def pairs_identity(sets: Iterable[Pairs]) -> str:
    """Hex sha256 of verification sets, their names and their order."""
    listed = "\n".join(f"{pairs.name} {pairs.fingerprint()}" for pairs in sets)
    return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()


def begins_with(conf: StudentConf) -> dict[str, str]:
    """What identifies the files that a student's first weights and class centres come from."""
    files = {"student.init": init_file(conf), "student.centres": centres_file(conf)}
    return {name: network_sha256(path) for name, path in files.items() if path is not None}


def init_file(conf: StudentConf) -> Path | None:
    """The weights that ``student.init`` names, themselves or by their run folder; None for a fresh student."""
    if conf.init is None:
        return None
    path = Path(conf.init)
    if not path.exists():
        raise UserError(f"student.init is {path}, which does not exist; expected the folder of a run or a weights file")
    if not path.is_dir():
        return path
    if not (path / STUDENT_WEIGHTS).exists():
        raise UserError(
            f"student.init is {conf.init}, which holds no {STUDENT_WEIGHTS}: that run has not finished; "
            "give its own command again, or name another run"
        )
    return path / STUDENT_WEIGHTS


def centres_file(conf: StudentConf) -> Path | None:
    """The file that ``student.centres`` names, itself or by its run folder; None where it names none."""
    if conf.centres is None:
        return None
    path = Path(conf.centres)
    if conf.init is None:
        raise UserError(
            f"student.centres is {path}, and student.init is null; expected both: centres are of no use to a student "
            "that is trained from scratch"
        )
    path = path / CENTRES if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"student.centres is {conf.centres}: {path} does not exist; expected the folder of a run")
    return path


def _short(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:25]}...{value[-25:]}"
