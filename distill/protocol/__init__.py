"""The challenge protocols: counting rule, limits, and the verdict on a file."""

from __future__ import annotations

from distill.protocol.counter import Cost, count
from distill.protocol.limits import Protocol
from distill.protocol.verdict import Verdict, judge

__all__ = ["Cost", "Protocol", "Verdict", "count", "judge"]
