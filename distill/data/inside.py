"""Containment of data in its folder: links that leave it are not followed."""

from __future__ import annotations

import os
from pathlib import Path


class Inside:
    """Whether a path, all links resolved, lies below ``root``; each folder is resolved once."""

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
