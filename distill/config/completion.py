"""Completion on the command line: Hydra's own for groups, choices, options and files, behind the name of a job.

``eval "$(face-distill -sc install=bash)"`` switches it on in bash; ``--help`` has the lines for zsh and fish. A shell
then runs ``face-distill -sc query=bash`` with the line so far in ``COMP_LINE`` and reads the candidates that it prints.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import cast

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.completion_plugin import CompletionPlugin
from omegaconf.errors import OmegaConfBaseException

from distill.config.compose import conf_dir, register
from distill.config.jobs import JOBS
from distill.config.suggest import did_you_mean
from distill.errors import UserError

COMMAND = "face-distill"
"""What the shell completes: the console script, as Hydra knows scripts and not ``python -m``."""
ACTIONS = ("install", "uninstall", "query")


def complete(arguments: Sequence[str]) -> int:
    """Print what switches completion on or off, or the candidates for ``COMP_LINE``; 0.

    Raises UserError for another action than Hydra's, or a shell that Hydra does not know.
    """
    action, _, shell = (arguments[0] if arguments else "").partition("=")
    if action not in ACTIONS or len(arguments) != 1:
        raise UserError(f"-sc takes install=SHELL or uninstall=SHELL, not {' '.join(arguments)!r}")
    sys.argv = [COMMAND]  # what Hydra installs itself for
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        plugin = _plugin(shell)
        if action == "query":
            _query(plugin, os.environ.get("COMP_LINE", ""))
        else:
            getattr(plugin, action)()
    return 0


def _plugin(shell: str) -> CompletionPlugin:
    loader = GlobalHydra.instance().config_loader()
    found = cast(list[type[CompletionPlugin]], Plugins.instance().discover(CompletionPlugin))
    plugins = {kind.provides(): kind for kind in found}
    if shell not in plugins:
        raise UserError(f"there is no completion for the shell {shell!r}{did_you_mean(shell, plugins)}")
    return plugins[shell](loader)


def _query(plugin: CompletionPlugin, line: str) -> None:
    """Candidates for the last word of ``line``: a job, or what Hydra knows of the job that stands there."""
    command, _, rest = line.lstrip().partition(" ")
    job, space, options = rest.lstrip().partition(" ")
    if not space:
        print(" ".join(name for name in JOBS if name.startswith(job)))
    elif job in JOBS:
        os.environ["COMP_LINE"] = f"{command} {options}"
        try:
            plugin.query(job)
        except (HydraException, OmegaConfBaseException):
            print()  # nothing completes a line that has a mistake in it
