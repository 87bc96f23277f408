"""Images that cannot be read: each is named, counted and skipped, up to a limit; one rule for all jobs."""

from __future__ import annotations

import logging
from collections.abc import Hashable

from distill.errors import UserError

_log = logging.getLogger(__name__)
_TOLD = 3


class Damage:
    """The distinct damaged images that a job has found, at most ``limit`` of them.

    ``option`` is the option that sets the limit, ``where`` the owner of the images. ``met`` maps each image's key to
    its name and the reason, in the order of finding.
    """

    def __init__(self, limit: int, option: str = "max_damaged", where: str = "this run") -> None:
        if limit < 0:
            raise UserError(f"{option} is {limit}; expected 0 or more broken images to skip")
        self._limit, self._option, self._where = limit, option, where
        self.met: dict[Hashable, str] = {}

    def __len__(self) -> int:
        return len(self.met)

    def note(self, key: Hashable, what: str) -> None:
        """Log each image once; ``UserError`` past the limit, with the first names."""
        if key not in self.met:
            self.recall(key, what)
            _log.warning("%s: skipped (damaged image %d of at most %d)", what, len(self.met), self._limit)

    def recall(self, key: Hashable, what: str) -> None:
        """Count an image that an interrupted run has logged already; ``UserError`` past the limit."""
        self.met[key] = what
        if len(self.met) > self._limit:
            raise UserError(
                f"{what}: damaged, number {len(self.met)} of {self._where}; {self._option} allows {self._limit}: mend "
                f"the data or raise the limit{self._earlier()}"
            )

    def to_json(self) -> dict[str, object]:
        """Number and names of the images, for result files."""
        return {"damaged_images": len(self.met), "damaged": list(self.met.values())}

    def words(self) -> str:
        """The number of images left out, as text."""
        return f"{len(self.met):,} damaged {'image' if len(self.met) == 1 else 'images'} left out"

    def _earlier(self) -> str:
        before = list(self.met.values())[:-1]
        if not before:
            return ""
        more = f" and {len(before) - _TOLD:,} more" if len(before) > _TOLD else ""
        return f" (before it {'; '.join(before[:_TOLD])}{more})"
