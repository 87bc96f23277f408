"""A claim belongs to one process, and is free once that has died."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from distill.files.claims import Claims

HOLDER = """
import sys, time
from pathlib import Path
from distill.files.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(claims.take(3), flush=True)
time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "True"
    return process


def test_what_another_process_holds_is_refused_until_it_is_killed(tmp_path: Path):
    claims = Claims(tmp_path)
    with holder(tmp_path) as other:
        assert not claims.take(3)
        assert claims.take(2)
        assert claims.take(4)
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert claims.take(3)
    claims.close()


def test_what_is_freed_can_be_taken_elsewhere(tmp_path: Path):
    claims = Claims(tmp_path)
    assert claims.take(3)
    claims.free(3)
    with holder(tmp_path) as other:
        other.kill()
    claims.close()
