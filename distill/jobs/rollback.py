"""``make rollback``: the version that was in service before is in service again."""

from __future__ import annotations

from pathlib import Path

from distill.jobs.registry import open_registry
from distill.jobs.registry_schema import RollbackConf
from distill.types import UserError


def run(conf: RollbackConf) -> int:
    """Change the pointers and say to what; 0."""
    registry = open_registry(Path(conf.root), conf.signing)
    champion = registry.champion()
    if champion is None:
        raise UserError(f"{registry.root} has no champion; expected a registry with a version in service")
    version = registry.rollback({} if conf.why is None else {"why": conf.why}, conf.to)
    if version.name == champion.name:
        print(f"champion  {version.name}, as before")
    else:
        print(f"champion  {version.name}, until now {champion.name}")
    return 0
