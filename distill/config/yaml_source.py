"""How Hydra reads the YAML files of groups, jobs and experiments: the same as ever, with text as it stands there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult

from distill.config.aliases import file_as_stored
from distill.config.text_options import TextOption, targets_in, text_option
from distill.config.yaml_text import load_yaml


def read_text_as_text(jobs: Mapping[str, type], folder: Path) -> None:
    """Make Hydra read files of configuration by the types of ``jobs``, from now on.

    ``folder`` holds the YAML files that name the classes of ``_target_``.
    """

    class TextFiles(FileConfigSource):
        def load_config(self, config_path: str) -> ConfigResult:
            name = self._normalize_file_name(config_path)
            path = os.path.realpath(os.path.join(self.path, name))
            if not os.path.exists(path):
                raise ConfigLoadError(f"Config not found : {path}")
            with open(path, encoding="utf-8") as file:
                header = self._get_header_dict(file.read(512))
                file.seek(0)
                where = _package(name, header.get("package"))
                own = jobs.get(name.removesuffix(".yaml"))
                kinds = tuple(dict.fromkeys(jobs.values())) if own is None else (own,)
                config = load_yaml(
                    file,
                    lambda place: _option(kinds, (*where, *place), folder),
                    lambda content: file_as_stored(kinds, where, content),
                )
            return ConfigResult(config=config, path=f"file://{self.path}", provider=self.provider, header=header)

    Plugins.instance()  # registers Hydra's own
    SourcesRegistry.instance().types["file"] = TextFiles


def _package(name: str, header: str | None) -> tuple[str, ...]:
    """Where the contents of a file stand in the configuration."""
    *group, file = name.removesuffix(".yaml").split("/")
    if header is None:
        return tuple(group)
    words = header.replace("_global_", "").replace("_group_", ".".join(group)).replace("_name_", file)
    return tuple(word for word in words.split(".") if word)


@cache
def _option(kinds: tuple[type, ...], place: tuple[str, ...], folder: Path) -> TextOption | None:
    """The text option at a place, in whichever job has one; the choices in a list of defaults are text too."""
    if "defaults" in place[:-1]:
        return TextOption(clears=True)
    targets = targets_in(folder / place[0]) if len(place) > 1 else ()
    found = (text_option(kind, ".".join(place), targets) for kind in kinds)
    return next((option for option in found if option is not None), None)
