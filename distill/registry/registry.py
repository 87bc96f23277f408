"""The registry of a service: versions, pointers and history in one folder, changed by one process at a time.

    versions/v0007/     files, version.json with their sha256, version.json.sig where versions are signed
    champion, previous  links that lead to a version; `champion/student.onnx` is a complete model at any instant
    state, states/      how the two change together (``distill.registry.pointers``)
    history.jsonl       what happened (``distill.registry.history``)

Every change is one rename: of a version into its place, of the link `state`, of a version out of its place. Whatever a
crash leaves half done beside it is cleared away by the next change, which also writes what the history lacks.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files.json_file import through_json
from distill.files.lock import open_locked
from distill.redact import redact
from distill.registry.history import EventKind, RegistryEvent, append_events, read_events
from distill.registry.pointers import CHAMPION, PREVIOUS, Pointers
from distill.registry.policy import Policy, superfluous
from distill.registry.shelf import Shelf
from distill.registry.signing import Signing
from distill.registry.version import Version, file_sha256, identity, plain_name, version_number

HISTORY, LOCK = "history.jsonl", ".lock"
ANY = "any"
"""Whatever version is in service, or none."""


class Withdrawn(UserError):
    """A version that somebody took out of service is to be put into service again."""


class Registry:
    """The registry at ``root``, which the first change makes. Reading needs no lock and writes nothing.

    With ``signing``, new versions are signed, and a version without the signature of a trusted key is refused.
    """

    def __init__(self, root: Path, signing: Signing | None = None) -> None:
        self.root, self._signing = root, signing
        self._shelf, self._pointers = Shelf(root, signing), Pointers(root)

    def versions(self) -> list[Version]:
        """All versions, oldest first; folders without a record that can be read are not among them."""
        return self._shelf.versions()

    def strangers(self) -> list[str]:
        """Names of what stands among the versions and is none."""
        return self._shelf.strangers()

    def version(self, name: str) -> Version:
        """One version by name; UserError where there is none."""
        return self._shelf.version(name)

    def champion(self) -> Version | None:
        """The version in service."""
        return self._pointed(CHAMPION)

    def previous(self) -> Version | None:
        """The version that was in service before."""
        return self._pointed(PREVIOUS)

    def history(self) -> list[RegistryEvent]:
        """All that happened, oldest first, with what a crash kept from the file."""
        written = read_events(self.root / HISTORY)
        return [*written, *self._unwritten(written)]

    def withdrawn(self) -> dict[str, RegistryEvent]:
        """Versions that a rollback took out of service, with that rollback, but for those that one brought back."""
        found: dict[str, RegistryEvent] = {}
        for event in self._changes():
            if event.kind is EventKind.rollback and event.before is not None:
                found[event.before] = event
                found.pop(event.version, None)
        return found

    def add(self, files: Mapping[str, Path], facts: Mapping[str, Any]) -> Version:
        """Copy files, under the given plain names, into a new version, with facts about it (JSON).

        Where an undamaged version of the same files and facts is there, it is that one.
        """
        assert files, "a version without files"
        if bad := [name for name in files if not plain_name(name)]:
            raise UserError(f"a version cannot hold {bad[0]!r}; expected a plain file name")
        plain = through_json(redact(facts))
        with self._alone():
            digests = {name: file_sha256(path) for name, path in files.items()}
            same = self._shelf.undamaged(identity(digests, plain))
            return same or self._shelf.place(self._next_number(), _now(), files, plain)

    def promote(self, name: str, why: Mapping[str, Any], instead_of: str | None = ANY) -> None:
        """Put an undamaged version into service, with the reasons (JSON); nothing happens where it is there already.

        Raises ``Withdrawn`` where the last word about it is a rollback, and UserError where another version is in
        service than the one that it was compared with (``instead_of``; None: no version).
        """
        with self._alone():
            self.version(name).verified()
            champion = self._pointers.name(CHAMPION)
            if name == champion:
                return
            if instead_of not in (ANY, champion):
                raise UserError(
                    f"{self.root}: the champion is {champion} and was {instead_of} when {name} was compared with it; "
                    "expected no concurrent change: start again"
                )
            if (event := self.withdrawn().get(name)) is not None:
                raise Withdrawn(
                    f"{name} was taken out of service at {event.at}; expected another version: only a rollback to "
                    f"{name} brings it back"
                )
            self._change(EventKind.promote, name, why)

    def rollback(self, why: Mapping[str, Any], to: str | None = None) -> Version:
        """Put the previous version, or ``to``, into service again, undamaged as it has to be.

        Without ``to`` a second rollback in a row is refused: it would bring back what the first one took away.
        """
        with self._alone():
            target = self.version(to or self._before_promotion()).verified()
            if target.name != self._pointers.name(CHAMPION):
                self._change(EventKind.rollback, target.name, why)
            return target

    def prune(self, policy: Policy) -> list[str]:
        """Remove what the policy does not keep, and return it; a folder with other files in it stays."""
        with self._alone():
            versions = {version.name: version for version in self.versions()}
            served = [event.version for event in self._changes()]
            pointed = {name for name in map(self._pointers.name, (CHAMPION, PREVIOUS)) if name is not None}
            going = superfluous(list(versions), served, pointed, policy)
            gone = [name for name in going if not versions[name].strangers()]
            self._shelf.take_away(gone)
        return gone

    def sign(self) -> list[str]:
        """Sign versions that have no signature and whose files match their record; their names."""
        assert self._signing is not None, "nothing to sign with"
        with self._alone():
            return Shelf(self.root).sign(self._signing)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process changes anything: make good what a crash left, work, write the history."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with open_locked(self.root / LOCK, wait=True):
                self._shelf.prepare()
                self._pointers.prepare()
                with suppress(OSError):  # on a full disk it has to wait until the work, pruning for one, is done
                    self._write_history()
                yield
                self._write_history()
        except OSError as error:
            raise UserError(
                f"cannot write {error.filename or self.root}: {error.strerror}; expected a writable registry with "
                "space left. Versions and champion are intact, and the next call writes what is missing"
            ) from error

    def _next_number(self) -> int:
        """One that no version has or had."""
        numbers = [number for event in self.history() if (number := version_number(event.version)) is not None]
        return 1 + max(self._shelf.last_number(), *numbers, 0)

    def _change(self, kind: EventKind, name: str, why: Mapping[str, Any]) -> None:
        state = self._pointers.number() + 1
        self._pointers.change(RegistryEvent(kind, name, _now(), state, self._pointers.name(CHAMPION), why))

    def _changes(self) -> list[RegistryEvent]:
        """All promotions and rollbacks in the order in which they happened, whatever the clock did."""
        states = {event.state: event for event in self.history() if event.state is not None}
        return [states[number] for number in sorted(states)]

    def _pointed(self, which: str) -> Version | None:
        """The version that a pointer leads to; read again if it moved meanwhile."""
        while (name := self._pointers.name(which)) is not None:
            try:
                return self.version(name)
            except UserError:
                if name == self._pointers.name(which):
                    raise
        return None

    def _before_promotion(self) -> str:
        if (name := self._pointers.name(PREVIOUS)) is None:
            raise UserError(f"{self.root} has no previous version to go back to; expected two promotions or more")
        event = self._pointers.event(self._pointers.number())
        if event.kind is EventKind.rollback:
            raise UserError(
                f"{self.root} went back from {event.before} to {event.version} at {event.at} already; expected "
                f"to=VERSION for another one"
            )
        return name

    def _unwritten(self, written: list[RegistryEvent]) -> list[RegistryEvent]:
        """Events that the folders show and the history lacks, in the order of their clocks."""
        known = {event.key for event in written}
        names, pruned = self._shelf.pruned()
        events = [
            *(RegistryEvent(EventKind.add, version.name, version.added_at) for version in (*pruned, *self.versions())),
            *(self._pointers.event(n) for n in self._pointers.numbers() if f"state {n}" not in known),
            *(RegistryEvent(EventKind.prune, name, _now()) for name in names),
        ]
        return sorted((event for event in events if event.key not in known), key=lambda event: event.at)

    def _write_history(self) -> None:
        self._shelf.empty_pruned()
        path = self.root / HISTORY
        append_events(path, self._unwritten(read_events(path)))
        self._shelf.forget_pruned()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
