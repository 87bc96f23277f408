"""One generation against the one before: on real files, and in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.config.compose import load
from distill.data.pairs import Pairs
from distill.errors import UserError
from distill.export.parity import Parity
from distill.files.network_file import NetworkFile
from distill.judge.benchmark import Benchmark, benchmark_of
from distill.judge.generations import benchmarks_of, in_words, judged_against
from distill.judge.judgement import Judgement, Reason
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.verification import verify
from distill.protocol.verdict import Verdict, judge
from distill.report.generations import generations_of, to_json
from distill.runs.assemble import verification_pairs
from distill.runs.check import limits
from distill.runs.finish import Proofs
from distill.runs.folder import METRICS, RunFolder
from reference.tiny_onnx import TinyOnnx
from teachers.onnx_network import OnnxNetwork

PAIRS = 800


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run without generations, as a first one is."""
    folder = tmp_path_factory.mktemp("first")
    TinyOnnx(width=16).write(folder / "student.onnx")
    (folder / METRICS).write_text("{}")
    return RunFolder(folder)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Noise, of which the genuine half are a picture and the same one with more noise."""
    rng = np.random.default_rng(0)
    left, other = rng.integers(0, 256, (2, PAIRS, 3, 7, 7)).astype(np.float32)
    same = np.arange(PAIRS) % 2 == 0
    right = np.where(same[:, None, None, None], 0.45 * left + 0.55 * other, other)
    patches = torch.from_numpy(np.stack([left, right], 1).reshape(2 * PAIRS, 3, 7, 7))
    return Pairs("noise", patches.repeat_interleave(16, 2).repeat_interleave(16, 3).to(torch.uint8), same)


def proofs(before: RunFolder) -> Proofs:
    file = NetworkFile(before.file("student.onnx"))
    verdict: Verdict = judge(file, limits(load("distill", ["teacher=none", "objective=margin"]).protocol))
    return Proofs(file, "", Parity(0.0, 0.0, 0.0, 8, (1,)), verdict)


def test_a_worse_student_is_found_out_with_figures_intervals_and_words(before: RunFolder, pairs: Pairs):
    rows = embed_flip_sum(OnnxNetwork(before.file("student.onnx")), pairs.images)
    worse = rows + np.random.default_rng(1).normal(0, 0.35, rows.shape)
    benchmark = Benchmark(pairs.name, pairs.same, {}, None, "")
    first, second = judged_against(before, 2, "later", [benchmark], [pairs])(proofs(before), [worse])
    assert (first.number, first.run, second.number, second.run) == (1, before.path.name, 2, "later")
    assert "generation 1 is better than generation 2 by auc on noise" in second.finding
    known = [verify(e[0::2], e[1::2], pairs.same) for e in (rows, worse)]
    auc = [next(f for f in one.figures if f.metric == "auc") for one in (first, second)]
    assert [one.value for one in auc] == pytest.approx([one.auc for one in known])
    assert auc[1].difference == pytest.approx(auc[1].value - auc[0].value)
    assert auc[1].interval is not None
    assert auc[1].interval[0] < auc[1].value - auc[0].value < auc[1].interval[1] < 0
    assert auc[0].difference is None
    assert second.judgement["verdict"] == "reject"
    assert any("worse" in reason for reason in second.against)


def test_a_third_generation_is_shown_behind_the_first_two(before: RunFolder, pairs: Pairs, tmp_path: Path):
    rows = embed_flip_sum(OnnxNetwork(before.file("student.onnx")), pairs.images)
    benchmark = Benchmark(pairs.name, pairs.same, {}, None, "")
    two = judged_against(before, 2, "later", [benchmark], [pairs])(proofs(before), [rows])
    assert "do not differ" in two[1].finding
    TinyOnnx(width=16).write(tmp_path / "student.onnx")
    (tmp_path / METRICS).write_text(json.dumps({"generations": to_json(two)}))
    three = judged_against(RunFolder(tmp_path), 3, "last", [benchmark], [pairs])(proofs(before), [rows])
    assert [one.run for one in three] == [before.path.name, "later", "last"]
    assert three[:2] == generations_of(RunFolder(tmp_path).metrics())


def test_a_generation_before_without_its_file_is_refused_before_training(tmp_path: Path):
    with pytest.raises(UserError, match=r"student\.onnx"):
        judged_against(RunFolder(tmp_path), 2, "later", [], [])


def main_reason(low: float, high: float) -> Judgement:
    return Judgement((Reason("main", "auc", "holds", "", set="lfw", slice="all", interval=(low, high)),), {}, {})


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (main_reason(0.01, 0.02), "generation 3 is better than generation 2 by auc on lfw"),
        (main_reason(-0.02, -0.01), "generation 2 is better than generation 3 by auc on lfw, so that its student"),
        (main_reason(-0.01, 0.02), "generation 3 and generation 2 do not differ by auc on lfw beyond the interval"),
        (Judgement((), {}, {}), "whether generation 3 is better than generation 2 is not known"),
    ],
)
def test_which_one_is_better_is_a_sentence(found: Judgement, words: str):
    assert in_words(found, 3).startswith(words)


def test_the_sets_of_a_run_are_judged_with_the_groups_beside_them(root: Path, options: Callable[..., list[str]]):
    conf = load("distill", options()).data
    [pairs] = verification_pairs(conf)
    [benchmark] = benchmarks_of(conf, [pairs])
    assert benchmark.name == "lfw_small"
    assert list(benchmark.columns) == ["sharpness"]
    assert benchmark.persons is None


def test_persons_beside_a_set_count_unless_pairs_were_left_out(pairs: Pairs, tmp_path: Path):
    (tmp_path / "noise.bin").write_bytes(b"not read again")
    lines = ["left\tright\tgroup", *(f"a{k}\t{'a' if s else 'b'}{k}\tg" for k, s in enumerate(pairs.same))]
    (tmp_path / "noise.tsv").write_text("\n".join(lines))
    complete = benchmark_of(tmp_path / "noise.bin", pairs)
    assert complete.persons is not None
    assert "group" in complete.columns
    fewer = Pairs(pairs.name, pairs.images[2:], pairs.same[1:], left_out=(0,))
    assert benchmark_of(tmp_path / "noise.bin", fewer).persons is None
