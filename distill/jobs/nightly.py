"""``make nightly``: what arrived since the last night, a student of it, and the better of two models in service.

This file decides which night there is to work on, and says what came of it; it needs no network for that. The work of
the stages is in ``night_data``, ``night_student``, ``night_scores`` and ``night_end``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from distill.jobs.compose import config_hash
from distill.jobs.nightly_schema import NightlyConf
from distill.nightly.freeze import freeze
from distill.nightly.lock import Busy, held
from distill.nightly.manifest import Manifest, read_manifest
from distill.nightly.nights import Night, last_finished, unfinished
from distill.nightly.outcome import Outcome
from distill.nightly.records import FAILED, FOLDER, note_failure, sha256_of
from distill.nightly.stages import Failed
from distill.types import UserError
from distill.waiting import waiting
from teachers.weights import sha256

if TYPE_CHECKING:
    from distill.jobs.night_work import Work

NOT_DECIDING = ("root", "drops", "benchmarks", "data.root", "data.pairs", "tracking")
"""Parts of the configuration that change neither the student nor the verdict; benchmark sets count by their contents."""
