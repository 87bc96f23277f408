"""From YAML files and overrides to one typed object: where the files are, which jobs there are, how they are read."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import distill
from distill.config.aliases import as_stored
from distill.config.build import check_targets
from distill.config.groups import DataConf
from distill.config.idle import counted
from distill.config.jobs import JOBS
from distill.config.overrides import letter_for_letter, literal
from distill.config.suggest import explain
from distill.config.text_options import expanded, text_option
from distill.config.training_jobs import DistillConf
from distill.config.yaml_source import read_text_as_text
from distill.config.yaml_text import load_yaml
from distill.errors import UserError
from distill.files.foreign import refuse_foreign
from distill.files.kinds import EMPTY, TEXTS
from distill.redact import secret_in

Conf = TypeVar("Conf")


def conf_dir() -> Path:
    """The folder of the YAML files: inside of the package once installed, beside it in a checkout."""
    package = Path(distill.__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


@cache
def register() -> None:
    """Make the types known to Hydra, once in a process, under the names that the root files' defaults start with."""
    for name, job in JOBS.items():
        ConfigStore.instance().store(name=f"{name}_schema", node=job.conf)
    read_text_as_text({name: job.conf for name, job in JOBS.items()}, conf_dir())


def typed(cfg: DictConfig) -> Any:
    """The composed configuration as plain dataclasses, dicts and lists; every ``_target_`` in it checked.

    Raises UserError for an unknown key, a value that is missing or cannot be resolved, an option that its target does
    not have, and a secret in a value.
    """
    kind = OmegaConf.get_type(cfg)
    assert kind is not None
    try:
        # Once more over the bare types: a key that was forced in with +key=value is not read by anything.
        strict = OmegaConf.merge(OmegaConf.structured(kind), OmegaConf.to_container(cfg))
        missing = sorted(OmegaConf.missing_keys(strict))
        if missing:
            raise UserError("; ".join([*(_needs(kind, key) for key in missing), *_absent_teacher(kind, strict)]))
        conf = expanded(OmegaConf.to_object(strict))
    except OmegaConfBaseException as error:
        raise UserError(explain(error, kind)) from error
    plain = dataclasses.asdict(cast(Any, conf))
    check_targets(plain)
    _refuse_secrets(plain)
    return conf


def _refuse_secrets(tree: Any, where: str = "") -> None:
    """What is configured is written into run folders, tracked and shown, so no secret may be in it."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            _refuse_secrets(value, f"{where}.{key}" if where else str(key))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            _refuse_secrets(value, f"{where}[{index}]")
    elif isinstance(tree, str) and (what := secret_in(tree)) is not None:
        raise UserError(f"{where} holds {what}; expected no secret in a configuration, which every result repeats")


def load(job: str, overrides: Sequence[str] = ()) -> Any:
    """The typed configuration of ``job`` with overrides as on the command line, without running anything.

    Inside of a job, the folders of configuration are those of that job.
    """
    register()
    running = GlobalHydra.instance().is_initialized()
    with nullcontext() if running else initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return typed(compose(job, readable(job, with_own_faces(job, overrides))))


def readable(job: str, overrides: Sequence[str], sweep: bool = False) -> list[str]:
    """The same overrides as Hydra has to be given them; in a ``sweep``, commas part the values of text too."""
    return letter_for_letter(JOBS[job].conf, as_stored(JOBS[job].conf, overrides), sweep, conf_dir())


def with_own_faces(job: str, overrides: Sequence[str]) -> list[str]:
    """The same overrides; ``data.root`` without a choice of ``data`` means a folder of one's own, ``data=recordio``.

    Synthetic faces, the default, have a root already and are made there.
    """
    given = {override.partition("=")[0].lstrip("+") for override in overrides}
    chosen = [f for f in dataclasses.fields(JOBS[job].conf) if f.default_factory is DataConf]
    own = "data.root" in given and "data" not in given and bool(chosen)
    return ["data=recordio", *overrides] if own else list(overrides)


def config_yaml(conf: Any) -> str:
    """The resolved configuration as YAML, which ``read_config`` reads back."""
    return OmegaConf.to_yaml(_node(conf))


def _node(conf: Any) -> DictConfig:
    """The configuration as OmegaConf has it; no text in it is an interpolation any more."""
    return cast(DictConfig, OmegaConf.merge(OmegaConf.structured(type(conf)), _literal(dataclasses.asdict(conf))))


def _literal(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _literal(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_literal(value) for value in tree]
    return literal(tree) if isinstance(tree, str) and not isinstance(tree, Enum) else tree


def read_config(path: Path, conf: type[Conf]) -> Conf:
    """The configuration in the YAML file at ``path``, as an object of the dataclass ``conf``.

    Raises UserError for a file that is missing, is no YAML or does not fit.
    """
    refuse_foreign(path, "a configuration in YAML", *TEXTS, EMPTY)
    try:
        with path.open(encoding="utf-8") as file:
            stored = load_yaml(file, lambda place: text_option(conf, ".".join(place)))
        return typed(cast(DictConfig, OmegaConf.merge(OmegaConf.structured(conf), stored)))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected the configuration of a run") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(f"{path}: {explain(error, conf)}") from error


def config_hash(conf: Any, *ignored: str) -> str:
    """Sixteen hex digits that name the configuration; idle options do not count, nor the dotted ones ``ignored``."""
    plain = cast(dict[str, Any], OmegaConf.to_container(_node(conf), enum_to_str=True))
    deciding = counted(plain, conf, *ignored)
    return hashlib.sha256(yaml.safe_dump(deciding, sort_keys=True).encode()).hexdigest()[:16]


def _absent_teacher(kind: type, cfg: Any) -> Iterator[str]:
    """What whoever lacks the data most likely lacks too, so that the first line names both."""
    if kind is DistillConf and cfg.teacher.network is not None and not Path(cfg.teacher.weights or "").is_file():
        yield (
            f"nor has teacher {cfg.teacher.name} weights at {cfg.teacher.weights}: `make teacher "
            f"teacher={cfg.teacher.name} data.root=DIR` trains it, teacher.weights=FILE names weights that you have, "
            "and teacher=onnx teacher.weights=FILE.onnx takes any other network"
        )


def _needs(conf: type, key: str) -> str:
    """One line for a required value that is missing."""
    owner: Any = conf
    for name in key.split(".")[:-1]:
        owner = next((f.default_factory for f in dataclasses.fields(owner) if f.name == name), None)
        if not dataclasses.is_dataclass(owner):
            return f"{key} is missing"
    what = next((f.metadata.get("what") for f in dataclasses.fields(owner) if f.name == key.split(".")[-1]), None)
    return f"{key} is missing" + (f": {what}" if what else "")
