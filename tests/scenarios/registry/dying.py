"""Kills real processes that change a registry. It forks, which a test process with its many threads must not.

``python dying.py steps FOLDER``: for every act the registry ``FOLDER/before`` is copied to ``FOLDER/ACT-STEP/registry``
and a child dies in the copy before that change; prints how many steps each act has.

``python dying.py moments REGISTRY``: children that work without end are killed one after the other, and after each all
is looked at; prints how often the pointers changed.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from distill.registry.registry import Policy, Registry
from reference.served_registry import ACTS, add, require_counted
from scenarios.registry.steps import dying, watch

KILLS = 20


def child(work: Callable[[], object]) -> int:
    """The number of a process that does the work and ends."""
    number = os.fork()
    if number == 0:
        work()
        os._exit(0)
    return number


def killed(number: int) -> bool:
    """Whether the child was killed rather than done; nothing else may end it."""
    status = os.waitpid(number, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, f"status {status}"
    return status != 0


def steps(folder: Path) -> dict[str, int]:
    found = {}
    for act in ACTS:
        for step in itertools.count(1):
            root = folder / f"{act}-{step}" / "registry"
            shutil.copytree(folder / "before", root, symlinks=True)
            if not killed(child(lambda root=root, act=act, step=step: act_and_die(root, act, step))):
                found[act] = step - 1
                break
    return found


def act_and_die(root: Path, act: str, step: int) -> None:
    with watch(root, dying(step)):
        ACTS[act](root)


def moments(root: Path) -> int:
    chance = random.Random(5)
    for kill in range(1, KILLS + 1):
        number = child(lambda kill=kill: work_without_end(root, 1000 * kill))
        time.sleep(chance.uniform(0.02, 0.2))
        os.kill(number, signal.SIGKILL)
        assert killed(number)
        changes = require_counted(root)
    return changes


def work_without_end(root: Path, first: int) -> None:
    for night in itertools.count(first):
        Registry(root).promote(add(root, night), {"night": night})
        if night % 3 == 0:
            Registry(root).rollback({"night": night})
        Registry(root).prune(Policy(newest=2, champions=2))


if __name__ == "__main__":
    print(json.dumps({"steps": steps, "moments": moments}[sys.argv[1]](Path(sys.argv[2]))))
