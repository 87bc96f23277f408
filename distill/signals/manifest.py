"""The manifest of a store of signals, and its first difference from what a run needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files.json_file import from_plain, read_json

FORMAT = 1
MANIFEST = "manifest.json"
WROTE = "what `make signals` wrote"


@dataclass(frozen=True)
class SignalManifest:
    """``manifest.json``, the first file of a store.

    ``data`` has images, classes and fingerprint; ``teacher`` name, sha256, preprocessing, embedding_dim and
    map_channels; ``views`` is ``Views.described``; ``arrays`` gives the shape of each output of one view.
    ``software`` is shown and not compared: another version of a library moves an embedding by less than float16 does.
    """

    data: Mapping[str, Any]
    teacher: Mapping[str, Any]
    views: Mapping[str, Any]
    arrays: Mapping[str, list[int]]
    shard_images: int
    software: Mapping[str, str]
    format: int = FORMAT

    @property
    def images(self) -> int:
        return self.data["images"]

    @property
    def columns(self) -> int:
        # the image and its mirror image, one row for both, or so many augmented views
        return {"mirror": 2, "flip_sum": 1}.get(self.views["kind"]) or self.views["columns"]

    @property
    def shards(self) -> int:
        # rounded up: the last shard may be shorter
        return -(-self.images // self.shard_images)

    def rows(self, shard: int) -> range:
        """The images of a shard."""
        return range(shard * self.shard_images, min((shard + 1) * self.shard_images, self.images))

    def hash(self) -> str:
        """Hex sha256 of everything but the software; every file of the store carries it."""
        content = {key: value for key, value in asdict(self).items() if key != "software"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> SignalManifest:
    """The manifest of a store; ``UserError`` where there is none, or none that can be read."""
    path = folder / MANIFEST
    raw = read_json(path, WROTE, f"{folder} holds no {MANIFEST}; expected a folder that `make signals` wrote")
    if isinstance(raw, dict) and raw.get("format", FORMAT) != FORMAT:
        raise UserError(f"{path} has format {raw['format']!r}; expected {FORMAT}: make the signals again")
    return from_plain(SignalManifest, raw, path, WROTE)


def first_difference(stored: Mapping[str, Any], wanted: Mapping[str, Any], place: str = "") -> str | None:
    """The first difference of two trees of JSON as text, in the order of ``wanted``; None if they agree.

    Keys that ``wanted`` does not have are ignored.
    """
    for key, value in wanted.items():
        here = f"{place}.{key}" if place else key
        if isinstance(value, Mapping) and isinstance(stored.get(key), Mapping):
            if (deeper := first_difference(stored[key], value, here)) is not None:
                return deeper
        elif stored.get(key) != value:
            return f"{here} is {_short(stored.get(key))} there and {_short(value)} here"
    return None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:25]}...{text[-25:]}"
