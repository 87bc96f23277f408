"""``make rollback``: the version that was in service before is in service again."""

from __future__ import annotations

from pathlib import Path

from distill.config.service_jobs import RollbackConf
from distill.errors import UserError
from distill.nightly.service_folder import open_registry
from distill.registry.registry import Registry
from distill.runs.folder import STUDENT_ONNX
from distill.tracking.night_events import mirror, pointer_events


def run(conf: RollbackConf) -> int:
    """Change the pointers and print the new champion; 0."""
    registry = open_registry(Path(conf.root), conf.signing)
    champion = registry.champion()
    if champion is None:
        raise UserError(f"{registry.root} has no champion; expected a registry with a version in service")
    version = registry.rollback({} if conf.why is None else {"why": conf.why}, conf.to)
    if version.name == champion.name:
        print(f"champion  {version.name}, as before")
    else:
        print(f"champion  {version.name}, until now {champion.name}")
    _update_wandb(conf, registry)
    return 0


def _update_wandb(conf: RollbackConf, registry: Registry) -> None:
    """Move the aliases in W&B too; if W&B cannot be reached, the next night does it."""
    settings, champion = conf.tracking, registry.champion()
    if settings.mode == "disabled" or champion is None:
        return
    previous = registry.previous()
    before = None if previous is None else previous.file(STUDENT_ONNX)
    changes = max(event.state or 0 for event in registry.history())
    events = pointer_events(Path(conf.root), f"state {changes}", champion.file(STUDENT_ONNX), before)
    mirror(Path(conf.root), events, settings)
