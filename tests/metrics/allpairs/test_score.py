"""From faces to numbers: equal to the naive computation to the pair, whatever happens on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distill.errors import UserError
from distill.metrics.allpairs import AllPairs, Engine, LabelledFeatures, Settings, score, score_all_pairs
from distill.metrics.allpairs import work_folder as work
from distill.metrics.bootstrap import Bootstrap
from metrics.allpairs.crowd import crowd
from reference import allpairs as slow
from reference.rates import tpr_at_fpr

FPRS = (0.5, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
PLAIN = Settings(FPRS, bootstrap=None, engine=Engine(threads=2))
SETS = {
    "one set": (crowd(200), None),
    "without ties": (crowd(200, coarse=False), None),
    "rectangle": (crowd(170), crowd(130, seed=1)),
    "equal rows alone": (LabelledFeatures(np.ones((90, 3), np.float32), np.arange(90) // 2), None),
}


def check(found: AllPairs, gallery: LabelledFeatures, probes: LabelledFeatures | None) -> None:
    """Every point is that of the loop, and the TPR that of ``roc.tpr_at_fpr``."""
    other = () if probes is None else (probes.features, probes.identities)
    scores, same = slow.scored(gallery.features, gallery.identities, *other)
    assert (found.pairs, found.genuine, found.impostor) == (len(same), same.sum(), (~same).sum())
    supported = 0
    for point in found.points:
        if point.missing:
            assert point.fpr * (~same).sum() < 1
            assert point.missing == f"{(~same).sum()} impostor pairs; at least {round(1 / point.fpr)} needed"
            continue
        supported += 1
        threshold, impostor, genuine = slow.point(scores, same, point.fpr)
        assert (point.threshold, point.impostor_accepted, point.genuine_accepted) == (threshold, impostor, genuine)
        assert point.tpr == tpr_at_fpr(scores, same, point.fpr)
    assert supported >= 3


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets take the way of large ones."""
    monkeypatch.setattr(score, "KEPT_PAIRS", 300)
    monkeypatch.setattr(work, "LEAST_BLOCK_ROWS", 16)


@pytest.mark.parametrize("name", SETS)
def test_small_sets_are_scored_whole(name):
    check(score_all_pairs(SETS[name][0], SETS[name][1], PLAIN), *SETS[name])


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("name", SETS)
def test_bands_find_the_same(name):
    check(score_all_pairs(SETS[name][0], SETS[name][1], PLAIN), *SETS[name])


@pytest.mark.slow
@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("engine", [
    Engine(threads=1), Engine(threads=3, max_memory_bytes=40_000), Engine(threads=1, max_memory_bytes=8_000),
])  # fmt: skip
def test_threads_and_memory_do_not_matter(engine):
    for gallery, probes in (SETS["one set"], SETS["rectangle"]):
        settings = replace(PLAIN, bootstrap=Bootstrap(50))
        assert score_all_pairs(gallery, probes, replace(settings, engine=engine)) == score_all_pairs(
            gallery, probes, settings
        )


@pytest.mark.slow
@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("name", SETS)
def test_brackets_that_fail_cost_time_and_nothing_else(name, monkeypatch, capsys):
    monkeypatch.setattr(score, "SIGMAS", 0.1)
    check(score_all_pairs(SETS[name][0], SETS[name][1], PLAIN), *SETS[name])
    if name == "without ties":
        assert "scoring pairs again (1)" in capsys.readouterr().out


def test_a_million_pairs_are_sampled_and_come_out_exact():
    gallery = crowd(2000, columns=32, coarse=False, people=200)
    found = score_all_pairs(gallery, settings=replace(PLAIN, bootstrap=Bootstrap(20)))
    unit = gallery.unit(0, 2000).astype(np.float64)
    i, j = np.triu_indices(2000, 1)
    scores, same = (
        (unit @ unit.T)[i, j],
        (gallery.identities[i] == gallery.identities[j]) & (gallery.identities[i] >= 0),
    )
    ordered = np.sort(scores[~same])[::-1]
    for point in found.points:
        rank = int(point.fpr * len(ordered) * (1 + 1e-12))
        assert (point.threshold, point.impostor_accepted) == (ordered[rank], rank)
        assert point.genuine_accepted == (scores[same] > ordered[rank]).sum()
        assert point.interval is not None
        assert point.tpr is not None
        assert point.interval[0] <= point.tpr <= point.interval[1]
    assert [point.evidence for point in found.points[1:]] == ["all"] * 5


def test_lower_decades_are_added_while_pairs_support_them(monkeypatch):
    found = score_all_pairs(crowd(60))
    assert [point.fpr for point in found.points] == list(score.FPRS)
    monkeypatch.setattr(score, "FPRS", (1e-1,))
    assert [point.fpr for point in score_all_pairs(crowd(60)).points] == [1e-1, 1e-2, 1e-3]


def test_without_genuine_or_impostor_pairs_it_says_so():
    alone = LabelledFeatures(crowd(20).features, np.full(20, -1), "alone.npy")
    assert {point.missing for point in score_all_pairs(alone).points} == {"no genuine pairs"}
    one = LabelledFeatures(crowd(20).features, np.zeros(20, np.int64), "one.npy")
    assert score_all_pairs(one).points[0].missing == "0 impostor pairs; at least 10 needed"


def test_table_and_json_hold_what_was_found():
    found = score_all_pairs(crowd(60), settings=Settings((1e-2, 1e-6), Bootstrap(50)))
    first, second = found.rows_of_table()
    point = found.points[0]
    assert point.interval is not None
    assert first[:2] == ("0.01", f"{point.tpr:.4f}")
    assert first[2] == f"{point.interval[0]:.4f} … {point.interval[1]:.4f} (95%, all)"
    assert first[3:] == (f"{point.threshold:.6f}", f"{point.impostor_accepted:,} of {found.impostor:,}")
    assert second[:3] == ("1e-06", "-", f"{found.impostor} impostor pairs; at least 1000000 needed")
    held = json.loads(json.dumps(found.to_json()))
    assert held["points"][0]["tpr"] == point.tpr
    assert held["over"] == "persons"


@pytest.mark.parametrize("fpr", [0.0, 1.0, -1e-3, float("nan")])
def test_an_fpr_is_a_share(fpr):
    with pytest.raises(UserError, match="expected numbers between 0 and 1"):
        score_all_pairs(crowd(20), settings=Settings((0.1, fpr)))


def test_a_folder_serves_one_run(tmp_path: Path, monkeypatch):
    first = score_all_pairs(crowd(100), settings=PLAIN, work=tmp_path)
    monkeypatch.setattr(score.Scorer, "score", lambda *_: pytest.fail("finished blocks are not scored again"))
    assert score_all_pairs(crowd(100), settings=PLAIN, work=tmp_path) == first
    for other in (crowd(100, seed=5), crowd(101)):
        with pytest.raises(UserError, match=r"inputs\.json is of other features"):
            score_all_pairs(other, settings=PLAIN, work=tmp_path)
    with pytest.raises(UserError, match="FPRs"):
        score_all_pairs(crowd(100), settings=replace(PLAIN, fprs=(0.1,)), work=tmp_path)


PROCESS = """
import sys, time
from pathlib import Path
sys.path.insert(0, "tests")
from distill.metrics.allpairs import Engine, Settings, score, score_all_pairs
from distill.metrics.bootstrap import Bootstrap
from metrics.allpairs.crowd import crowd
score.KEPT_PAIRS = 300
scored = score.Scorer.score
def slowly(*arguments):
    time.sleep(float(sys.argv[2]))
    return scored(*arguments)
score.Scorer.score = slowly
settings = Settings(bootstrap=Bootstrap(50), engine=Engine(threads=1))
found = score_all_pairs(crowd(600), settings=settings, work=Path(sys.argv[1]))
Path(sys.argv[1], f"{sys.argv[3]}.txt").write_text(repr(found))
"""


def process(folder: Path, pause_s: float, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(PROCESS), str(folder), str(pause_s), name]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_killed_and_helped_processes_find_the_same(tmp_path: Path, monkeypatch):
    """One process is killed in the middle; two more take over, together."""
    monkeypatch.setattr(score, "KEPT_PAIRS", 300)
    settings = Settings(bootstrap=Bootstrap(50), engine=Engine(threads=2))
    undisturbed = score_all_pairs(crowd(600), settings=settings, work=tmp_path / "undisturbed")
    folder = tmp_path / "disturbed"
    killed = process(folder, 0.3, "killed")
    deadline = time.monotonic() + 120
    while len(list(folder.glob("steps-*.npy"))) < 2:
        assert time.monotonic() < deadline, "no block came"
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(list(folder.glob("steps-*.npy"))) < 36, "it was killed too late to show anything"
    both = [process(folder, 0.05, name) for name in ("a", "b")]
    assert [one.wait(timeout=120) for one in both] == [0, 0]
    for name in ("a", "b"):
        assert (folder / f"{name}.txt").read_text() == repr(undisturbed)
    names = {path.name for path in (tmp_path / "undisturbed").glob("*.npy")}
    assert {path.name for path in folder.glob("*.npy")} == names
    for name in (name for name in names if name.startswith("steps")):
        assert (folder / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
