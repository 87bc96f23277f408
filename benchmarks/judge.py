"""How often the judge is wrong: verdicts on models whose true quality is known, because their scores are drawn.

    .venv/bin/python benchmarks/judge.py [--simulations 200] [--pairs 6000] [--resamples 200]

Scores of genuine and of impostor pairs are normal, the champion's with a true AUC of 0.99, and correlate by 0.8 with
the challenger's. A set has a group of two thirds of its pairs and one of a third; the settings are the defaults but for
``resamples``. What is counted is how often the challenger is promoted. Figures go to benchmarks/results/judge.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from distilling import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # where drawn scores are at home

from distill.config.scoring_jobs import JudgeConf
from distill.judge.decide import Facts, Requirement, judge
from reference.scored_pairs import ScoredPairs

RESULT = Path(__file__).parent / "results" / "judge.json"
CHAMPION = 0.99
GAIN = 0.006
PASSED = Requirement(True, "drawn")


@dataclass(frozen=True)
class Truth:
    """The challenger's true AUC in the larger and in the smaller group, and whether its data are newer."""

    says: str
    larger: float
    smaller: float
    newer_data: bool


def truths(settings: JudgeConf) -> list[Truth]:
    margin, slice_margin = settings.margin.auc, settings.slice_margin.auc
    return [
        Truth("worse by the margin everywhere", CHAMPION - margin, CHAMPION - margin, True),
        Truth("worse by the margin of a slice in the smaller group", CHAMPION, CHAMPION - slice_margin, True),
        Truth("the same, hidden by a gain in the larger group", CHAMPION + GAIN, CHAMPION - slice_margin, True),
        Truth("worse by twice that in the smaller group, hidden", CHAMPION + GAIN, CHAMPION - 2 * slice_margin, True),
        Truth("equal, newer data", CHAMPION, CHAMPION, True),
        Truth("equal, the same data", CHAMPION, CHAMPION, False),
        Truth("better by 0.006, the same data", CHAMPION + GAIN, CHAMPION + GAIN, False),
    ]


def main() -> int:
    arguments = _arguments()
    settings = JudgeConf(resamples=arguments.resamples)
    found = []
    for truth in truths(settings):
        promoted = [_promoted(truth, arguments.pairs, seed, settings) for seed in range(arguments.simulations)]
        share = sum(promoted) / len(promoted)
        print(f"{truth.says}: promoted {share:.1%} of {len(promoted)}", flush=True)
        found.append({"truth": truth.says, "promoted": share, "simulations": len(promoted)})
    options = " ".join(f"--{name} {value}" for name, value in vars(arguments).items())
    content = {"command": f"benchmarks/judge.py {options}", "machine": machine(), "rows": found}
    RESULT.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def _promoted(truth: Truth, pairs: int, seed: int, settings: JudgeConf) -> bool:
    groups = {"larger": pairs // 3 * 2, "smaller": pairs - pairs // 3 * 2}
    aucs = {"larger": truth.larger, "smaller": truth.smaller}
    drawn = ScoredPairs(champion=CHAMPION, pairs=pairs, groups=groups, inside=aucs).draw(seed)
    return judge([drawn], settings, Facts(PASSED, PASSED, truth.newer_data)).promoted


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=6000)
    parser.add_argument("--resamples", type=int, default=200)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
