"""The process that delivers an outbox to W&B: ``python -m distill.tracking.outbox_delivery ROOT SETTINGS``.

Events of one W&B run in a row are one start of it, and are removed when W&B has confirmed them. Delivery is idempotent:
figures have the night as their step, which W&B takes once and in ascending order; an artifact of the same bytes is the
version that exists, whose aliases are set again; runs have ids that follow from the folder and the night. Only an alert
may come twice, because one too many is better than none.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distill.files.hashing import sha256
from distill.files.json_file import from_text
from distill.files.lock import Held, open_locked
from distill.tracking.outbox import DamagedEvent, Outbox, OutboxEvent, read_event
from distill.tracking.wandb_run import environment, run_id, writable
from distill.tracking.wandb_session import Shield, end_service, start
from distill.tracking.wandb_settings import WandbSettings

if TYPE_CHECKING:
    import wandb


LOCK = ".lock"
NIGHT, FACTS = "night", "facts.json"
_WAIT_S = 60
_MOST_TITLE = 63  # characters that W&B takes
Waiting = tuple[Path, OutboxEvent]


class Undeliverable(Exception):
    """An event that no later delivery can send either; the message is the reason."""


def main(argv: Sequence[str]) -> int:
    """Deliver; if it stops early, print the reason and return 1."""
    root, settings = argv
    failure = deliver_all(Outbox(Path(root)), from_text(WandbSettings, settings))
    print(failure)
    return 1 if failure else 0


def deliver_all(outbox: Outbox, settings: WandbSettings) -> str:
    """Deliver every event in order; "" or the reason why it stopped. Does nothing while another process delivers."""
    try:
        lock = open_locked(outbox.folder / LOCK)
    except Held:
        return "another process delivers"
    with lock:
        failure = ""
        for (night, run), events in groupby(_readable(outbox), key=lambda waiting: (waiting[1].night, waiting[1].run)):
            failure = _session(outbox, settings, run, night, list(events))
            if failure:
                break
        end_service()
        return failure


def _readable(outbox: Outbox) -> list[Waiting]:
    """The events that wait; damaged ones are put aside."""
    found: list[Waiting] = []
    for path in outbox.pending():
        try:
            found.append((path, read_event(path)))
        except DamagedEvent:
            outbox.refuse(path)
    return found


def _session(outbox: Outbox, settings: WandbSettings, run: str, night: int | None, events: Sequence[Waiting]) -> str:
    """One start of a W&B run: send its events, wait until W&B has them, remove them; "" or why that failed."""
    refused: set[Path] = set()
    with Shield() as shield:
        began = _begin(outbox.root, settings, run, night)
        for path, event in events:
            try:
                _deliver(began, outbox.root, event, settings.mode == "online")
            except Undeliverable:
                refused.add(path)
        began.finish()
    if shield.failure is not None:
        return shield.failure
    for path, _ in events:
        if path in refused:
            outbox.refuse(path)
        else:
            path.unlink(missing_ok=True)
    return ""


def _begin(root: Path, settings: WandbSettings, run: str, night: int | None) -> wandb.Run:
    folder = writable(root / "wandb")
    name = run if night is None else f"{group_of(night)}-{run}"
    mode: Literal["offline", "online"] = "online" if settings.mode == "online" else "offline"
    group = None if night is None else group_of(night)
    return start(
        mode,
        settings,
        finish_raises=True,
        id=f"{run_id(folder)}-{name}",
        name=name,
        dir=Path(settings.dir or folder.parent),
        group=group,
        job_type=run,
    )


def group_of(night: int) -> str:
    """What all W&B runs of one night are grouped by."""
    return f"night-{night:04d}"


def _deliver(run: wandb.Run, root: Path, event: OutboxEvent, online: bool) -> None:
    body = event.body
    if event.kind == "figures":
        run.define_metric("*", step_metric=NIGHT)
        run.log({**body["values"], NIGHT: body[NIGHT]}, step=body[NIGHT])
    elif event.kind == "alert":
        run.alert(title=body["title"][:_MOST_TITLE], text=body["text"], level=body["level"])
    else:
        _artifact(run, root, body, online)


def _artifact(run: wandb.Run, root: Path, body: Any, online: bool) -> None:
    """Log files, or the facts where there are none, as one artifact; online also what it was made from."""
    import wandb

    files = list(_files(root, body["files"]))
    for name in body["uses"] if online else ():
        run.use_artifact(name)
    artifact = wandb.Artifact(_plain(body["name"]), type=body["type"], metadata=body["facts"])
    # Files are staged under this folder by absolute path; outside of the service's folder a later sync loses them.
    with environment("WANDB_DATA_DIR", str((root / "wandb").resolve())):
        for name, path in files:
            artifact.add_file(str(path), name=name)
        if not files:
            with artifact.new_file(FACTS, mode="w") as file:
                json.dump(body["facts"], file, sort_keys=True, indent=1)
        logged = run.log_artifact(artifact, aliases=[_plain(alias) for alias in body["aliases"]])
        if online:
            logged.wait(timeout=_WAIT_S)


def _files(root: Path, files: dict[str, dict[str, str]]) -> Iterator[tuple[str, Path]]:
    """Each file by its name in the artifact. Raises Undeliverable where one is gone, changed or outside of ``root``."""
    for name, stated in files.items():
        path = root / stated["path"]
        if not path.resolve().is_relative_to(root.resolve()) or not path.is_file():
            raise Undeliverable(f"{path} is not there")
        if sha256(path) != stated["sha256"]:
            raise Undeliverable(f"{path} has changed since")
        yield name, path


def _plain(text: str) -> str:
    """A name that W&B takes for artifacts and aliases."""
    return re.sub(r"[^\w.-]+", "-", text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
