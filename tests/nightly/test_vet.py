"""From what was seen to verdicts: labels are lost, pictures never, and every loss has its sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distill.config.service_jobs import VettingConf
from distill.nightly.freeze import freeze
from distill.nightly.frozen import vetted_labels
from distill.nightly.label_noise import ReferenceStats, no_reference, people_of
from distill.nightly.manifest import DataManifest
from distill.nightly.vet import TeacherView, unvetted, vetted
from distill.nightly.vetting_result import Verdicts
from distill.types import UNLABELLED
from reference.drops import jpeg

Put = Callable[..., Path]
WIDTH = 24


def embeddings(people: list[int], seed: int = 0) -> np.ndarray:
    """What a teacher that knows everybody would say of pictures of these people."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(30, WIDTH))
    found = centres[people] + 0.4 * rng.normal(size=(len(people), WIDTH))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def folder_of(people: dict[str, list[int]], seed: int) -> tuple[dict[str, bytes], list[int]]:
    """Files of a drop, and who is really on them in the order of their names."""
    files, really = {}, []
    for name in sorted(people):
        for number, person in enumerate(people[name]):
            files[f"{name}/{number}.jpg"] = jpeg(person, 100 * seed + number)
            really.append(person)
    return files, really


@pytest.fixture
def eight(drops: Path, put: Put) -> tuple[DataManifest, ReferenceStats]:
    """A first night of eight people, six pictures each, all as they should be."""
    files, really = folder_of({f"p{k}": [k] * 6 for k in range(8)}, 1)
    put("1", files)
    manifest = freeze(drops, None)
    seen, labels = embeddings(really), np.repeat(np.arange(8), 6)
    return manifest, ReferenceStats(people_of(seen, labels, 10), seen, labels)


def test_wrong_labels_and_split_people_lose_labels_and_nothing_else(eight, drops: Path, put: Put):
    before, known = eight
    files, really = folder_of({"p1": [1, 2, 1], "q": [20, 20, 20], "twin of p5": [5, 5]}, 2)
    put("2", files)
    manifest = freeze(drops, before)
    so_far = unvetted(manifest, None)
    assert so_far.findings == []
    verdicts = vetted(manifest, so_far, TeacherView(known, embeddings(really, 7)), VettingConf(least=8))
    assert verdicts.unlabelled == {"2": ["p1/1.jpg", "twin of p5/0.jpg", "twin of p5/1.jpg"]}
    doubtful, split = verdicts.findings
    assert (doubtful.kind, doubtful.drop, doubtful.file) == ("doubtful_label", "2", "p1/1.jpg")
    assert "labelled p1" in doubtful.text
    assert "with those of p2" in doubtful.text
    assert (split.kind, split.drop, split.file) == ("split_person", "2", "twin of p5")
    assert split.text.startswith("2 pictures used without label: twin of p5 is new and looks like p5")
    labels = vetted_labels(manifest, verdicts)
    assert len(labels) == len(manifest) == 56
    assert np.flatnonzero(labels == UNLABELLED).tolist() == [49, 54, 55]
    assert verdicts.summary().unlabelled == 3


def test_what_was_doubted_once_stays_so(eight, drops: Path, put: Put):
    before, known = eight
    earlier = Verdicts(before.data_sha256(), {"1": ["p0/3.jpg"]}, [])
    put("2", {"p1/a.jpg": jpeg(1, 300)})
    manifest = freeze(drops, before)
    verdicts = vetted(manifest, unvetted(manifest, earlier), TeacherView(known, embeddings([1], 7)), VettingConf())
    assert verdicts.unlabelled == {"1": ["p0/3.jpg"]}
    assert verdicts.findings == []
    assert verdicts.data_sha256 == manifest.data_sha256()


def test_a_picture_that_could_not_be_read_is_not_judged(eight, drops: Path, put: Put):
    before, known = eight
    put("2", {"p1/a.jpg": jpeg(1, 300), "p1/b.jpg": jpeg(2, 301)})
    manifest = freeze(drops, before)
    seen = embeddings([1, 2], 7)
    seen[1] = np.nan
    assert vetted(manifest, unvetted(manifest, None), TeacherView(known, seen), VettingConf()).unlabelled == {}


def test_files_tell_of_themselves(drops: Path, put: Put):
    put("1", {"anna/1.jpg": jpeg(1, 1), "bob/1.jpg": jpeg(1, 1), "bob/2\n.jpg": b"torn", "bob/3.jpg": jpeg(2, 1)})
    before = freeze(drops, None)
    put("2", {"bob/9.jpg": jpeg(2, 1), "carl/9.jpg": jpeg(2, 1)})
    (drops / "3").mkdir()
    first, second = unvetted(before, None), unvetted(freeze(drops, before), None)
    assert [(one.kind, one.drop, one.file) for one in first.findings] == [
        ("damaged", "1", "bob/2\\n.jpg"),
        ("contradiction", "1", "bob/1.jpg"),
    ]
    assert first.unlabelled == {"1": ["anna/1.jpg"]}, "nobody knows whether it is Anna or Bob"
    assert [(one.kind, one.drop, one.file) for one in second.findings] == [
        ("empty_drop", "3", ""),
        ("duplicate", "2", "bob/9.jpg"),
        ("contradiction", "2", "carl/9.jpg"),
    ]
    assert second.unlabelled == {}, "what an earlier night froze is believed"
    assert no_reference(3, 5).people.counts.tolist() == [0, 0, 0]
