"""``make registry``: the versions of a service, each checked to the last byte, and what happened last."""

from __future__ import annotations

from pathlib import Path

from distill.config.service_jobs import RegistryConf
from distill.errors import UserError
from distill.nightly.service_folder import open_registry
from distill.registry.policy import Policy
from distill.report.registry_table import event_line, print_versions


def run(conf: RegistryConf) -> int:
    """Sign and prune where that is asked for, then show; 1 where champion or previous version is damaged."""
    _check(conf)
    registry = open_registry(Path(conf.root), conf.signing)
    if not registry.root.is_dir():
        raise UserError(f"{registry.root} does not exist; expected a registry, which the first night makes in its root")
    if conf.sign:
        print(f"signed    {_listed(registry.sign())}")
    if conf.prune:
        print(f"pruned    {_listed(registry.prune(Policy(conf.newest, conf.champions)))}")
    sound = print_versions(registry)
    for event in registry.history()[-conf.events :] if conf.events else []:
        print(event_line(event))
    return 0 if sound else 1


def _check(conf: RegistryConf) -> None:
    if conf.events < 0:
        raise UserError(f"events is {conf.events}; expected 0 or more")
    if conf.sign and conf.signing.key is None:
        raise UserError("signing.key is missing; expected the private key that sign=true signs with")


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
