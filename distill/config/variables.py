"""W&B's environment variables as options of the jobs that track: read once, when a command starts."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from distill.config.overrides import quoted
from distill.errors import UserError
from distill.tracking.wandb_settings import WandbSettings
from distill.tracking.wandb_variables import read_variables

_SERVICES = ("nightly", "rollback")
_log = logging.getLogger(__name__)


def with_variables(
    job: str, conf: type, overrides: Sequence[str], environment: Mapping[str, str], sweep: bool = False
) -> list[str]:
    """The overrides of a job of type ``conf``, behind those that W&B's variables stand for; one line reports these.

    Raises UserError for variables that cannot be used.
    """
    if not any(field.default_factory is WandbSettings for field in dataclasses.fields(conf)):
        return list(overrides)
    keys = {override.partition("=")[0].lstrip("+~") for override in overrides}
    given = {key.removeprefix("tracking.") for key in keys if key.startswith("tracking.")}
    if "tracking" in keys:
        given.add("mode")
    found = read_variables(environment, given, job in _SERVICES)
    if sweep and "id" in found.options:
        raise UserError(f"WANDB_RUN_ID is {found.options['id']} and -m starts several runs; expected it unset")
    if found.report:
        _log.info("W&B: %s", found.report)
    return [*(_override(option, value) for option, value in found.options.items()), *overrides]


def _override(option: str, value: str | list[str]) -> str:
    """In quotes, so that commas in it part nothing."""
    words = [quoted(word) for word in ([value] if isinstance(value, str) else value)]
    return f"tracking.{option}=" + (words[0] if isinstance(value, str) else f"[{','.join(words)}]")
