"""Which versions a registry keeps, and which ones that lets go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from distill.errors import UserError


@dataclass
class Policy:
    """Which versions the registry keeps, besides the champion and the one before (docs/registry.md)."""

    newest: int = 10
    """How many of the newest stay."""
    champions: int = 5
    """How many of those stay that were champion last."""

    def __post_init__(self) -> None:
        for name, least in (("newest", 1), ("champions", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; expected {least} or more versions to keep")


def superfluous(names: Sequence[str], served: Sequence[str], pointed: Collection[str], policy: Policy) -> list[str]:
    """Those of ``names``, oldest first, that the policy lets go.

    ``served`` are the versions in the order in which they came into service, again and again where they did; what
    is ``pointed`` to always stays.
    """
    last_first = dict.fromkeys(name for name in reversed(served) if name in names)
    kept = {*pointed, *names[-policy.newest :], *list(last_first)[: policy.champions]}
    return [name for name in names if name not in kept]
