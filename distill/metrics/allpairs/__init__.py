"""Exact TPR at FPR over all pairs, up to trillions, in bounded memory at about the speed of the matrix product.

The largest TPR at an FPR f of N impostor pairs accepts what scores more than the impostor pair of rank
floor(f N) + 1. So a handful of order statistics of the impostor scores is all that is needed, exactly:

1. A score is a cosine that float64 computes without rounding (``exact_score``), so it does not depend on how it is
   computed, and equal pairs tie.
2. Scores of a random sample, some 0.5 % of 10^10 pairs and less of more, give a narrow band of scores in which each of
   these order statistics lies, with six standard errors to spare (``sample``, ``bands``).
3. One pass multiplies tiles of rows in float32 (``tiles``). A product is within a proven bound of its score, 3e-5 for
   512 columns. Pairs that are outside of all bands by that bound are counted; the few others, about 1 in 500, are
   scored exactly (``rescore``). Genuine pairs are found by identity, without a scan of all pairs.
4. Counts above the bands and exact scores within give the order statistic, or show that it lies elsewhere; then only
   its band is sampled again, wider, and the pass is repeated (``cumulative``, ``score``). So the sample decides the
   running time and never the result.

Why not a histogram of all products and exact scores in the bins that turn out to matter? Because at FPR 1e-1 nearly
every tile has such pairs, and a second pass would cost another matrix product. Why not sort? 10^10 scores are 40 GB.

Blocks of pairs are claimed by processes and kept in a folder (``work_folder``); results are bit-identical with any
number of threads and processes, any tile and any device, and after any interruption. Intervals come from resampling
persons (``intervals``).
"""

from __future__ import annotations

from distill.metrics.allpairs.engine import Engine
from distill.metrics.allpairs.pairing import DISTRACTOR, LabelledFeatures
from distill.metrics.allpairs.result import AllPairs, Point
from distill.metrics.allpairs.score import FPRS, Settings, score_all_pairs

__all__ = ["DISTRACTOR", "FPRS", "AllPairs", "Engine", "LabelledFeatures", "Point", "Settings", "score_all_pairs"]
