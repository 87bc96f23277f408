"""Data stay below the folder that they came in: what links lead out of it is not read."""

from __future__ import annotations

import os
from pathlib import Path


class Inside:
    """Tells whether a path, all links followed, ends below ``root``; where folders lead is looked up once."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._folders: dict[str, bool] = {}

    def __contains__(self, path: Path) -> bool:
        if path.is_symlink():
            return self._below(os.path.realpath(path))
        folder = str(path.parent)
        if folder not in self._folders:
            self._folders[folder] = self._below(os.path.realpath(folder))
        return self._folders[folder]

    def _below(self, real: str) -> bool:
        return os.path.commonpath([self.root, real]) == self.root
