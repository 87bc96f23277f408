"""Which version is in service and which was before: two links that change together, in one rename.

    champion -> state/champion          made once
    state    -> states/000012           the one link that changes
    states/000012/champion -> ../../versions/v0007
    states/000012/previous -> ../../versions/v0006
    states/000012/event.json            why

A state is never changed. Old states stay, a few hundred bytes each: a reader on its way through one still arrives,
and the history can be derived from them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from distill.errors import UserError
from distill.files.durable import PARTIAL, discard, placed, point, write_synced
from distill.registry.history import RegistryEvent, event_from_json
from distill.registry.shelf import VERSIONS
from distill.registry.version import version_number

CHAMPION, PREVIOUS = "champion", "previous"

_STATE, _STATES, _EVENT = "state", "states", "event.json"
_TARGET = re.compile(rf"{_STATES}/(\d{{6,}})")


class Pointers:
    """The pointers of the registry at ``root``. Whoever changes them holds the registry's lock."""

    def __init__(self, root: Path) -> None:
        self._root, self._states = root, root / _STATES

    def number(self) -> int:
        """How often the pointers have changed."""
        link = self._root / _STATE
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise UserError(f"{link}: {error.strerror}; expected the link that this project made") from error
        if not (found := _TARGET.fullmatch(target)):
            raise UserError(f"{link}: leads to {target}; expected one of {_STATES}")
        return int(found[1])

    def name(self, which: str) -> str | None:
        """The version that ``champion`` or ``previous`` leads to."""
        if not (number := self.number()):
            return None
        link = self._folder(number) / which
        try:
            return _version(link)
        except FileNotFoundError:
            if self._folder(number).is_dir():
                return None
            raise UserError(f"{self._folder(number)} is missing; expected the state that {_STATE} leads to") from None

    def event(self, number: int) -> RegistryEvent:
        """Why the pointers changed to state ``number``."""
        path = self._folder(number) / _EVENT
        try:
            return event_from_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {error}; expected the event that this project wrote") from error

    def numbers(self) -> list[int]:
        """The states that are or were in force, oldest first."""
        return [number for number in self._made() if number <= self.number()]

    def prepare(self) -> None:
        """Make what is fixed, and remove states that never came into force."""
        self._states.mkdir(exist_ok=True)
        discard(self._states / PARTIAL)
        for number in self._made():
            if number > self.number():
                discard(self._folder(number))
        for which in (CHAMPION, PREVIOUS):
            link, target = self._root / which, f"{_STATE}/{which}"
            if not link.is_symlink() or os.readlink(link) != target:
                point(link, target)

    def change(self, event: RegistryEvent) -> None:
        """Put ``event.version`` into service, with the champion until now as the previous one."""
        number = self.number() + 1
        assert event.state == number, f"state {event.state} after {number - 1}"
        with placed(self._folder(number)) as folder:
            for which, name in ((CHAMPION, event.version), (PREVIOUS, event.before)):
                if name is not None:
                    (folder / which).symlink_to(f"../../{VERSIONS}/{name}")
            write_synced(folder / _EVENT, event.to_json().encode())
        point(self._root / _STATE, f"{_STATES}/{self._folder(number).name}")

    def _folder(self, number: int) -> Path:
        return self._states / f"{number:06d}"

    def _made(self) -> list[int]:
        if not self._states.is_dir():
            return []
        return sorted(int(path.name) for path in self._states.iterdir() if path.name.isdecimal())


def _version(link: Path) -> str:
    """The name of the version that a link leads to; a link to anywhere else is refused."""
    target = os.readlink(link)
    name = Path(target).name
    if version_number(name) is None or target != f"../../{VERSIONS}/{name}":
        raise UserError(f"{link}: leads to {target}; expected a version of this registry")
    return name
