"""Retention policy of a registry: which versions stay, and which are removed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from distill.errors import UserError


@dataclass
class Policy:
    """Versions that the registry keeps besides champion and previous (docs/registry.md)."""

    newest: int = 10
    """Number of newest versions that stay."""
    champions: int = 5
    """Number of latest champions that stay."""

    def __post_init__(self) -> None:
        for name, least in (("newest", 1), ("champions", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; expected {least} or more versions to keep")


def superfluous(names: Sequence[str], served: Sequence[str], pointed: Collection[str], policy: Policy) -> list[str]:
    """Those of ``names``, oldest first, that the policy removes.

    ``served`` are the versions in the order in which they came into service, again and again where they did; what
    is ``pointed`` to always stays.
    """
    last_first = dict.fromkeys(name for name in reversed(served) if name in names)
    kept = {*pointed, *names[-policy.newest :], *list(last_first)[: policy.champions]}
    return [name for name in names if name not in kept]
