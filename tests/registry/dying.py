"""Kills a real process at each change that an act makes: ``python dying.py FOLDER``.

For every act the registry ``FOLDER/before`` is copied to ``FOLDER/ACT-STEP/registry`` and a child dies in the copy;
prints how many steps each act has. It forks, which a test process with its many threads must not.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from registry.service import ACTS
from registry.steps import dying, watch


def killed(root: Path, act: str, step: int) -> bool:
    """Whether a child was killed before the step; False where the act has fewer."""
    child = os.fork()
    if child == 0:
        with watch(root, dying(step)):
            ACTS[act](root)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, f"{act} {step}: status {status}"
    return status != 0


def main(folder: Path) -> None:
    steps = {}
    for act in ACTS:
        step = 1
        while True:
            root = folder / f"{act}-{step}" / "registry"
            shutil.copytree(folder / "before", root, symlinks=True)
            if not killed(root, act, step):
                break
            step += 1
        steps[act] = step - 1
    print(json.dumps(steps))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
