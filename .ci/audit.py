"""Audits the packages of .venv: what constraints.txt pins, byte for byte, and without known weaknesses.

The first half needs nobody: versions against the constraints, files against the hashes that their packages came with.
The second asks the package index by way of pip-audit. Where that cannot be asked, for want of a network or because it
keeps no advisories, one line says so: whoever works offline has done nothing wrong. The exit status is 1 for a package
that is not as pinned, a file that is not as packed, and a known weakness.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
NOT_PINNED = ("pip", "face-distill")
"""What the environment is made with, and what it is made for."""
TIMEOUT_S = 300


def main(arguments: Sequence[str]) -> int:
    """Audit the constraints, or the file that is given in their place."""
    path = Path(arguments[0]) if arguments else CONSTRAINTS
    pinned = dict(line.split("==") for line in path.read_text().split() if "==" in line)
    wrong = [line for found in distributions() for line in departures(found, pinned)]
    print("\n".join([*wrong, f"audit: {len(pinned)} packages pinned, {len(wrong)} departures from that"]))
    lines, status = verdict(report) if isinstance(report := asked(path), dict) else ([f"audit skipped: {report}"], 0)
    print("\n".join(lines))
    return int(bool(wrong)) or status


def departures(found: Distribution, pinned: Mapping[str, str]) -> Iterator[str]:
    """In what an installed package is not the one that is pinned."""
    versions = {_normal(name): version for name, version in pinned.items()}
    name = _normal(found.metadata["Name"])
    if name in NOT_PINNED:
        return
    wanted = versions.get(name)
    if found.version.partition("+")[0] != wanted:
        yield f"departure   {name} {found.version} is installed; expected {wanted or 'none: it is not pinned'}"
    for file in found.files or ():
        path = Path(str(file.locate()))
        if file.hash is None or not path.is_file():
            continue
        digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, path.read_bytes()).digest())
        if digest.rstrip(b"=").decode() != file.hash.value:
            yield f"departure   {name} {found.version}: {path} is not the file that the package came with"


def asked(path: Path) -> dict[str, Any] | str:
    """What pip-audit writes of exact versions, as JSON, or why it could not be asked; nothing is installed."""
    if find_spec("pip_audit") is None:
        return "pip-audit is not installed: make setup"
    options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", "--timeout=15"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", f"--requirement={path}", *options],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return f"no answer within {TIMEOUT_S} s"
    except ValueError:
        return (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]


def verdict(report: Mapping[str, Any]) -> tuple[list[str], int]:
    """Lines to print and the exit status, from what pip-audit has written."""
    packages = report["dependencies"]
    silent = [f"not asked   {p['name']}: {p['skip_reason']}" for p in packages if "skip_reason" in p]
    if len(silent) == len(packages):
        return [f"audit skipped: the index tells of none of the {len(packages)} packages; {' '.join(silent[:1])}"], 0
    found = [line for p in packages for line in _weaknesses(p)]
    told = f"audit: {len(packages) - len(silent)} packages asked about, {len(found)} weaknesses known"
    return [*silent, *found, told], int(bool(found))


def _weaknesses(package: Mapping[str, Any]) -> Iterator[str]:
    for known in package.get("vulns", ()):
        versions: Iterable[str] = known["fix_versions"]
        mended = ", ".join(versions) or "no version yet"
        yield f"weakness    {package['name']} {package['version']}: {known['id']}, mended in {mended}"


def _normal(name: str) -> str:
    """As packages are compared by name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
