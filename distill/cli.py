"""The command line: ``python -m distill JOB [key=value ...] [-m]``; a user error is one line and status 2."""

from __future__ import annotations

import logging
import os
import select
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType

import hydra
import omegaconf
import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from distill.config.compose import conf_dir, readable, register, typed, with_own_faces
from distill.config.job_help import job_help
from distill.config.jobs import JOBS
from distill.config.suggest import did_you_mean, explain
from distill.config.variables import with_variables
from distill.errors import UserError
from distill.redact import RedactingFormatter, redact_text
from distill.shown import print_anything, shown

USER_ERROR = 2
INTERRUPTED = 130
OUTPUT_CLOSED = 141
"""Exit status of a command whose output was closed, e.g. by `head`: 128 and the number of SIGPIPE."""
DASHBOARD = "dashboard"

HELP = ("-h", "--help")
COMPLETION = ("-sc", "--shell-completion")
SWITCHES = (*HELP, "-m", "--multirun", "--resolve")
VALUED = ("-c", "--cfg", "-p", "--package", "-cd", "--config-dir")
"""Hydra's options that make sense here. Rerunning from a pickle is left out: nothing is unpickled from outside."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job and return the exit status: 0 done, 1 failed its check, 2 user error, 130 interrupted."""
    print_anything()
    os.umask(os.umask(0o022) | 0o022)  # files that are written can be changed by their owner only
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        status = _dispatch(name, rest)
        sys.stdout.flush()  # a closed pipe shows here, not when the interpreter exits
        return status
    except (UserError, OSError) as error:
        return _refuse(error)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume", file=sys.stderr)
        return INTERRUPTED


def _dispatch(name: str, arguments: Sequence[str]) -> int:
    if name in (*HELP, "help"):
        print(_usage())
        return 0
    if name in COMPLETION:
        return import_module("distill.config.completion").complete(arguments)
    if name == DASHBOARD:
        return import_module("distill.tracking.dashboard").main(arguments)
    if name not in JOBS:
        raise UserError(f"there is no job {name!r}{did_you_mean(name, [*JOBS, DASHBOARD])}")
    return _run_job(name, *_parted(name, arguments))


def _parted(name: str, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags and overrides, apart: Hydra's parser wants all overrides in one stretch."""
    flags: list[str] = []
    overrides: list[str] = []
    words = iter(arguments)
    for word in words:
        flag, equals, _ = word.partition("=")
        if not word.startswith("-"):
            overrides.append(word)
        elif flag in VALUED:
            flags += [flag, os.path.expanduser(word.partition("=")[2] if equals else next(words, ""))]
        elif word in SWITCHES:
            flags.append(word)
        else:
            raise UserError(f"there is no flag {word!r}{did_you_mean(word, [*SWITCHES, *VALUED])}")
    return flags, with_own_faces(name, overrides)


def _run_job(name: str, flags: Sequence[str], overrides: Sequence[str]) -> int:
    """Run the job, a sweep of jobs, or show its help; the worst exit status of them."""
    register()
    if not set(HELP).isdisjoint(flags):
        pages: list[str] = []  # printed here, since Hydra reports a closed pipe as an error of the task
        _hydra(name, [*_folder_flag(flags), *readable(name, overrides)], lambda cfg: pages.append(job_help(name, cfg)))
        print(*pages)
        return 0
    logging.basicConfig(level=logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(RedactingFormatter())
    for package in ("distill", "teachers"):
        logging.getLogger(package).setLevel(logging.INFO)
    sweep = not {"-m", "--multirun"}.isdisjoint(flags)
    known = with_variables(name, JOBS[name].conf, readable(name, overrides, sweep), os.environ, sweep)
    statuses = [0]  # Hydra drops what a job returns

    def task(cfg: DictConfig) -> None:
        sys.argv = [f"face-distill {name}", *flags, *overrides]  # as results show the command
        statuses.append(_status(name, cfg))

    _hydra(name, [*flags, *known], task)
    return max(statuses)


def _folder_flag(flags: Sequence[str]) -> Sequence[str]:
    """The flag that adds a folder of configuration, which help shows too."""
    at = next((i for i, flag in enumerate(flags) if flag in ("-cd", "--config-dir")), len(flags))
    return flags[at : at + 2]


def _hydra(name: str, arguments: Sequence[str], task: Callable[[DictConfig], None]) -> None:
    """Let Hydra compose the configuration and call ``task`` with it; its errors are explained in one line."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print some errors itself and exit
    sys.argv = [f"face-distill {name}", *arguments]
    try:
        hydra.main(config_path=str(conf_dir()), config_name=name, version_base="1.3")(task)()
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(explain(error, JOBS[name].conf)) from error
    except (ValueError, AttributeError) as error:
        # Hydra's own for a group that is given a number, or for flags that exclude each other; OmegaConf's for a
        # mapping in place of null
        if not _raised_in(error, hydra, omegaconf):
            raise
        raise UserError(explain(error, JOBS[name].conf)) from error


def _raised_in(error: BaseException, *packages: ModuleType) -> bool:
    place = traceback.extract_tb(error.__traceback__)[-1].filename
    return any(place.startswith(os.path.dirname(package.__file__ or "")) for package in packages)


def _status(name: str, cfg: DictConfig) -> int:
    """Run one composed job. Its errors are printed at once, so that in a sweep the next job still runs."""
    try:
        conf = typed(cfg)
        return import_module(f"distill.jobs.{name}").run(conf)
    except (UserError, OSError) as error:
        return _refuse(error)


def _refuse(error: UserError | OSError) -> int:
    """Print a user error, or the system's error and its path, in one line; nothing if the output was closed."""
    if isinstance(error, BrokenPipeError) and _output_closed():
        return OUTPUT_CLOSED
    line = str(error)
    if isinstance(error, OSError) and error.strerror:
        line = f"{error.filename or 'the system'}: {error.strerror}; expected a place that can be read and written"
    print(f"error: {shown(redact_text(' '.join(line.splitlines())))}", file=sys.stderr)
    return USER_ERROR


def _output_closed() -> bool:
    """Whether the reader has closed standard output; if so, the rest of it is discarded."""
    output = select.poll()
    output.register(sys.stdout, 0)
    if gone := bool(output.poll(0)):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone


def _usage() -> str:
    jobs = {
        **{name: job.does for name, job in JOBS.items()},
        DASHBOARD: "list the tracked runs, view them offline, sync them to W&B",
    }
    width = max(map(len, jobs))
    lines = [f"  {name:{width}}  {does}" for name, does in jobs.items()]
    return "\n".join(
        [
            "usage: python -m distill JOB [group=choice ...] [key=value ...] [-m]",
            "",
            *lines,
            "",
            "JOB --help explains groups and options, JOB --cfg job prints the configuration, -m sweeps over a,b,c.",
            "Completion of jobs, groups, choices, options and files in the shell, in its start-up file:",
            '  bash  eval "$(face-distill -sc install=bash)"',
            '  zsh   autoload -U bashcompinit && bashcompinit && eval "$(face-distill -sc install=bash)"',
            "  fish  face-distill -sc install=fish | source",
        ]
    )
