"""Types of the configuration of the jobs on the registry of a nightly service, and of what signs its versions."""

from __future__ import annotations

from dataclasses import dataclass, field

from distill.jobs.schema import PATH, TrackingConf, path


@dataclass
class SigningConf:
    """Ed25519 keys in PEM files (docs/registry.md); without any, nothing is signed and no signature asked for."""

    key: str | None = path()
    """The private key that signs new versions; its file has mode 0600."""
    trusted: list[str] = field(default_factory=list, metadata=PATH)
    """Public keys whose signatures count beside the signing key's own."""


@dataclass
class RegistryConf:
    """``make registry``: list the versions of a service and check every byte of them."""

    root: str = path("nightly")
    """Folder of the service; the registry is ``registry`` in it."""
    events: int = 10
    """How many of the last events are shown."""
    prune: bool = False
    """Remove versions, but for the champion, the previous one, and those that the next two keep."""
    newest: int = 10
    """How many of the newest versions stay."""
    champions: int = 5
    """How many of the versions that were champion last stay."""
    sign: bool = False
    """Sign the versions that have no signature."""
    signing: SigningConf = field(default_factory=SigningConf)


@dataclass
class RollbackConf:
    """``make rollback``: put the version that was in service before, or another one, into service again."""

    root: str = path("nightly")
    """Folder of the service; the registry is ``registry`` in it."""
    to: str | None = None
    """The version, e.g. to=v0007; null: the previous one."""
    why: str | None = None
    """A sentence for the history."""
    signing: SigningConf = field(default_factory=SigningConf)
    tracking: TrackingConf = field(default_factory=TrackingConf)
    """Where W&B is told of it; with ``none`` the next night tells it."""
