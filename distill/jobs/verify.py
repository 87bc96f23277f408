"""``make verify model=FILE.onnx pairs=FILE.bin``: score any ONNX file on verification pairs."""

from __future__ import annotations

from pathlib import Path

from distill.data.pairs import read_pairs
from distill.jobs.check import describe
from distill.jobs.run_folder import write_json
from distill.jobs.schema import VerifyConf
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.verification import verify
from distill.tracking.summary import print_verification
from distill.waiting import waiting
from teachers.onnx_network import OnnxNetwork

FILE = "verify.json"


def run(conf: VerifyConf) -> int:
    """Print the table and write ``verify.json`` beside the model or into ``out``."""
    model = Path(conf.model)
    network = OnnxNetwork(model)
    pairs = read_pairs(conf.pairs)
    with waiting(f"embedding {pairs.name}", len(pairs.images), "images") as progress:
        embeddings = embed_flip_sum(network, pairs.images, conf.batch_size, progress)
    bootstrap = Bootstrap(resamples=conf.bootstrap, seed=conf.seed)
    found = verify(embeddings[0::2], embeddings[1::2], pairs.same, conf.folds, bootstrap=bootstrap)
    source = describe(network.preprocessing, network.preprocessing_source)
    print_verification(found.rows(), source)
    out = Path(conf.out) if conf.out else model.parent
    write_json(
        out / FILE,
        {"model": str(model), "set": pairs.name, "preprocessing": source, **found.to_json()},
    )
    return 0
