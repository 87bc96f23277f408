"""How W&B is started here, and how it is kept at arm's length: quietly, with no prompt, and never for long."""

from __future__ import annotations

import netrc
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

from distill.redact import redact, redact_text
from distill.shown import shown_all
from distill.tracking.wandb_settings import WandbSettings
from distill.tracking.wandb_variables import DISABLED, MODE, OPTIONS

if TYPE_CHECKING:
    import wandb

INIT_TIMEOUT_S, FINISH_TIMEOUT_S = 20.0, 120.0


def start(
    mode: Literal["offline", "online"], settings: WandbSettings, finish_raises: bool = False, **run: Any
) -> wandb.Run:
    """A W&B run, resumed where its id is known; ``run`` are arguments of ``wandb.init`` that name it.

    ``finish_raises``: uploads that are not done in time are an error; a training run leaves them on disk instead.

    Raises whatever W&B does, and ConnectionError where online has no login: call it inside of a ``Shield``.
    """
    import wandb

    _no_usage_reports()
    # Our settings count; variables that a service ignores do not.
    with _unset((MODE, DISABLED, *OPTIONS)), _arguments_of_text():
        # Set for the process first: what W&B prints and sends before the run exists obeys only these.
        process = wandb.setup(settings=wandb.Settings(silent=True, mode=mode))
        if mode == "online" and not logged_in(process.settings.base_url, os.environ):
            raise ConnectionError("not logged in; `wandb login` or WANDB_API_KEY")
        return wandb.init(
            resume=cast(Any, settings.resume),
            reinit="create_new",  # does not touch the process's global run: Hydra multirun
            mode=mode,
            project=settings.project,
            entity=settings.entity,
            tags=shown_all(redact(settings.tags)),
            notes=shown_all(redact(settings.notes)),
            settings=_quiet(finish_raises),
            **run,
        )


@contextmanager
def _unset(names: Iterable[str]) -> Iterator[None]:
    """Without these variables for a moment."""
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


@contextmanager
def _arguments_of_text() -> Iterator[None]:
    """W&B takes the program's arguments into its settings, and a file's name among them may be no text."""
    given = sys.argv
    sys.argv = shown_all(given)
    try:
        yield
    finally:
        sys.argv = given


def _quiet(finish_raises: bool) -> wandb.Settings:
    """No console output or capture, no prompt, no code, command line or git address, nothing that waits long."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        x_disable_meta=True,
        x_service_wait=15,
        login_timeout=1,
        init_timeout=INIT_TIMEOUT_S,
        finish_timeout=FINISH_TIMEOUT_S,
        finish_timeout_raises=finish_raises,
        x_graphql_retry_max=1,
        x_graphql_timeout_seconds=5,
    )


def _no_usage_reports() -> None:
    """W&B's reports about its own use: from an unreachable server they would hold up the end of the process."""
    with Shield():
        from wandb.analytics.opentelemetry.opentelemetry_proxy import disable

        disable()


def end_service() -> None:
    """End W&B's helper process: a failed run still owns its id there, and a dead one would complain at exit."""
    with Shield():
        import wandb

        wandb.teardown(exit_code=1)


class Shield:
    """Catches what W&B raises, of whatever class, and keeps its reason; errors of our own pass through.

    W&B's errors have no common base (its own, sockets', pydantic's, protobuf's), so they are known by where they come
    from: a frame of the package in the traceback. Its import and the disk may also fail outside of the package.
    """

    failure: str | None = None

    def __enter__(self) -> Shield:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        if not (isinstance(error, ImportError | OSError) or _passed_wandb(trace)):
            return False
        first = (str(error).splitlines() or [""])[0]
        self.failure = f"{type(error).__name__}: {redact_text(first)[:160]}"
        return True


def _passed_wandb(trace: TracebackType | None) -> bool:
    names = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(trace))
    return any(name.split(".")[0] == "wandb" for name in names)


def logged_in(base_url: str, environment: Mapping[str, str]) -> bool:
    """Whether W&B has a key for this server: WANDB_API_KEY, an identity token, or the netrc file."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    home = Path(environment.get("HOME") or Path.home())
    named = environment.get("NETRC")
    for path in [Path(named)] if named else [home / ".netrc", home / "_netrc"]:
        try:
            login = netrc.netrc(str(path)).authenticators(urlsplit(base_url).netloc)
        except (OSError, netrc.NetrcParseError):
            continue  # absent or damaged: no key in it
        if login and login[2]:
            return True
    return False
