"""The error of a user's mistake. This file imports nothing, so that whoever raises it loads nothing."""

from __future__ import annotations


class UserError(Exception):
    """A mistake that the user can mend: one line that names the file, the value and what was expected.

    The command line prints the line and exits with status 2; it never shows a traceback for it.
    """
