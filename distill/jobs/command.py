"""The command that runs, as pages and results show it."""

from __future__ import annotations

import shlex
import sys

from distill.redact import redact_text
from distill.shown import shown


def command_line() -> str:
    """This process's command, without the secrets that it may hold by mistake."""
    return shown(redact_text(shlex.join(["face-distill", *sys.argv[0].split()[1:], *sys.argv[1:]])))
