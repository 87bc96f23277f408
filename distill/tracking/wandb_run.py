"""Weights & Biases, kept at arm's length: whatever it does, training goes on.

W&B may be absent, down, logged out or out of disk. The first failure is one warning line, and from then on this run
says nothing more to W&B; the run folder (``series.jsonl``, ``metrics.json``) has every number anyway. Written for
wandb 0.31: an offline run that is resumed is a second fragment with the same id, joined by ``wandb sync``.
"""

from __future__ import annotations

import logging
import netrc
import os
import re
import secrets
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import numpy as np

from distill.redact import is_secret
from distill.tracking.panels import STEP, summary_of
from distill.types import UserError

if TYPE_CHECKING:
    import wandb

ID_FILE = "wandb_id.txt"
MODES = ("offline", "online", "disabled")
_MAX_BINS = 512  # wandb.Histogram refuses more
_USER_IN_URL = re.compile(r"://[^/@\s]+@")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WandbSettings:
    """Where the run appears in W&B. ``online`` uploads while training, and only for a user who is logged in."""

    mode: Literal["offline", "online", "disabled"] = "offline"
    project: str = "face-distill"
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    init_timeout_s: float = 20.0
    finish_timeout_s: float = 120.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"tracking.mode is {self.mode!r}; expected one of {', '.join(MODES)}")


class WandbRun:
    """One run of ours as one run of W&B, resumed by the id in the run folder; a sink."""

    def __init__(self, folder: Path, settings: WandbSettings, config: Mapping[str, Any]) -> None:
        self.folder = folder.resolve()
        self._settings, self._config = settings, without_secrets(config)
        self._run: wandb.Run | None = None
        self._defined: set[str] = set()
        if settings.mode != "disabled":
            self._start()

    @property
    def alive(self) -> bool:
        """Whether W&B still takes values: not disabled, failed or finished."""
        return self._run is not None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Named numbers of an optimiser step; a step never goes back."""
        self._tell(lambda run: self._write(run, step, values))

    def histogram(self, step: int, name: str, counts: Sequence[int], edges: Sequence[float]) -> None:
        """Counts [k] over bins with edges [k+1], as ``Histogram`` of ``distill.metrics`` has them; at most 512 bins."""
        assert len(edges) == len(counts) + 1 <= _MAX_BINS + 1, f"{len(counts)} counts, {len(edges)} edges"

        def write(run: wandb.Run) -> None:
            import wandb

            self._write(run, step, {name: wandb.Histogram(np_histogram=(np.asarray(counts), np.asarray(edges)))})

        self._tell(write)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Results of the whole run: cost against limits, verdict, scores."""
        self._tell(lambda run: run.summary.update(dict(values)))

    def artifact(self, paths: Sequence[Path], name: str, metadata: Mapping[str, Any]) -> None:
        """Keep copies of the files as version of the W&B model ``name``; they travel with the next sync."""

        def write(run: wandb.Run) -> None:
            import wandb

            artifact = wandb.Artifact(re.sub(r"[^\w.-]+", "-", name), type="model", metadata=dict(metadata))
            # Files are staged under this folder by absolute path; outside of the run folder a later sync loses them.
            with _environment("WANDB_DATA_DIR", str(self.folder / "wandb")):
                for path in paths:
                    artifact.add_file(str(path))
                run.log_artifact(artifact)

        self._tell(write)

    def finish(self, exit_code: int = 0) -> None:
        """Close the run; uploads get ``finish_timeout_s``, and what is left stays on disk for ``wandb sync``."""
        self._tell(lambda run: run.finish(exit_code=exit_code))
        self._run = None

    def _write(self, run: wandb.Run, step: int, values: Mapping[str, Any]) -> None:
        for name in values.keys() - self._defined:
            run.define_metric(name, step_metric=STEP, summary=summary_of(name))
            self._defined.add(name)
        run.log({**values, STEP: step}, step=step)

    def _start(self) -> None:
        mode = self._settings.mode
        if mode == "online":
            failure = self._open("online")
            if failure is None:
                return
            _end_service()
            _log.warning("W&B: stays offline (%s); `make dashboard` says how to sync later", failure)
        failure = self._open("offline")
        if failure is not None:
            self._give_up(failure)

    def _open(self, mode: Literal["offline", "online"]) -> str | None:
        """Start the W&B run in that mode; returns why it failed, or None."""
        with Shield() as shield:
            run = self._init(mode)
            self._run = run
            _log.info("W&B: %s run %s in %s", mode, run.id, run.url or os.path.relpath(self.folder / "wandb"))
        return shield.failure

    def _init(self, mode: Literal["offline", "online"]) -> wandb.Run:
        import wandb

        _no_usage_reports()
        # Given to the process first, because what W&B says and sends before the run exists obeys only these.
        process = wandb.setup(settings=wandb.Settings(silent=True, mode=mode))
        if mode == "online" and not logged_in(process.settings.base_url, os.environ):
            raise ConnectionError("not logged in; `wandb login` or WANDB_API_KEY")
        return wandb.init(
            id=_run_id(self.folder),
            resume="allow",
            reinit="create_new",  # leaves the process's global run alone: Hydra multirun
            dir=_writable(self.folder / "wandb").parent,
            mode=mode,
            project=self._settings.project,
            entity=self._settings.entity,
            group=self._settings.group,
            name=self._settings.name or self.folder.name,
            tags=self._settings.tags,
            config=dict(self._config),
            settings=self._quiet(wandb.Settings),
        )

    def _quiet(self, settings: Callable[..., wandb.Settings]) -> wandb.Settings:
        """No console output or capture, no prompt, no code, command line or git address, nothing that waits long."""
        return settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_meta=True,
            x_service_wait=15,
            login_timeout=1,
            init_timeout=self._settings.init_timeout_s,
            finish_timeout=self._settings.finish_timeout_s,
            x_graphql_retry_max=1,
            x_graphql_timeout_seconds=5,
        )

    def _tell(self, action: Callable[[wandb.Run], object]) -> None:
        if self._run is None:
            return
        with Shield() as shield:
            action(self._run)
        if shield.failure is not None:
            self._give_up(shield.failure)

    def _give_up(self, failure: str) -> None:
        self._run = None
        _end_service()
        _log.warning("W&B: off for the rest of this run (%s); the run folder keeps every number", failure)


def _no_usage_reports() -> None:
    """W&B's reports about its own use: from an unreachable server they would hold up the end of the process."""
    with Shield():
        from wandb.analytics.opentelemetry.opentelemetry_proxy import disable

        disable()


def _end_service() -> None:
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
        self.failure = f"{type(error).__name__}: {first[:160]}"
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


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with values under secret-looking names, and users and passwords in addresses, masked."""
    return {key: "***" if is_secret(str(key)) and value else _masked(value) for key, value in config.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_secrets(value)
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return _USER_IN_URL.sub("://***@", value) if isinstance(value, str) else value


def _run_id(folder: Path) -> str:
    """The W&B id of the run folder, made up the first time."""
    path = folder / ID_FILE
    known = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    if known:
        return known
    partial = path.with_name(path.name + ".partial")
    partial.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    os.replace(partial, path)
    return _run_id(folder)


def _writable(folder: Path) -> Path:
    """Make the folder. W&B itself would quietly turn to the system's temporary one."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} is not writable")
    return folder


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable for a moment: one that stays would reach the next run of a Hydra multirun."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
