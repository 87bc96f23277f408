"""Asks the package index for known weaknesses of every version in constraints.txt; the exit status is 1 for any found.

Where nobody can be asked, for want of a network or of pip-audit, one line says so and the status is 0: whoever works
offline has done nothing wrong. What was not asked is listed, so that silence is no clean bill.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
TIMEOUT_S = 300


def main(arguments: Sequence[str]) -> int:
    """Audit the constraints, or the file that is given in their place."""
    path = Path(arguments[0]) if arguments else CONSTRAINTS
    if find_spec("pip_audit") is None:
        return _skipped("pip-audit is not installed: make setup")
    try:
        done = subprocess.run(_command(path), capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return _skipped(f"no answer within {TIMEOUT_S} s")
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return _skipped((done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1])
    lines, status = verdict(report)
    print("\n".join(lines))
    return status


def verdict(report: Mapping[str, Any]) -> tuple[list[str], int]:
    """Lines to print and the exit status, from what pip-audit writes as JSON."""
    packages = report["dependencies"]
    skipped = [f"not asked   {p['name']}: {p['skip_reason']}" for p in packages if "skip_reason" in p]
    found = [line for p in packages for line in _weaknesses(p)]
    asked = len(packages) - len(skipped)
    if not asked:
        return [*skipped, "audit skipped: none of the packages is known there"], 0
    return [*skipped, *found, f"audit: {asked} packages asked about, {len(found)} weaknesses known"], int(bool(found))


def _weaknesses(package: Mapping[str, Any]) -> Iterator[str]:
    for known in package.get("vulns", ()):
        mended = ", ".join(known["fix_versions"]) or "no version yet"
        yield f"weakness    {package['name']} {package['version']}: {known['id']}, mended in {mended}"


def _command(path: Path) -> list[str]:
    """pip-audit over exact versions: nothing is resolved or installed."""
    options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", "--timeout=15"]
    return [sys.executable, "-m", "pip_audit", f"--requirement={path}", *options]


def _skipped(why: str) -> int:
    print(f"audit skipped: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
