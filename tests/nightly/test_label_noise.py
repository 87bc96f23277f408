"""Labels that cannot be right: the formulas against loops, and what is found among pictures that a ResNet-152 saw."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from distill.config.service_jobs import VettingConf
from distill.errors import UserError
from distill.nightly import label_noise as vetting
from distill.nightly.label_noise import (
    ReferenceStats,
    doubtful_labels,
    nearest_other,
    no_reference,
    own_similarity,
    people_of,
    robust,
    split_people,
)
from distill.types import UNLABELLED
from reference import vetting as slow

PEOPLE, PICTURES = 600, 5


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def few() -> tuple[np.ndarray, np.ndarray]:
    """Twenty pictures of six people, of whom one has a single picture and one none."""
    rng = np.random.default_rng(3)
    labels = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 5, 5, 5, 5, 5, 5, 1, 1, 0, 3])
    return unit(rng.normal(size=(6, 8))[labels] + 0.5 * rng.normal(size=(20, 8))), labels


@pytest.fixture(scope="module")
def seen(repository) -> np.ndarray:
    """What the shipped r152 says of 600 synthetic people, five pictures each: unit [3000 512]."""
    folder = repository / "teachers" / "signals" / "r152-synthfaces"
    shards = [load_file(path)["embedding"] for path in sorted(folder.glob("shard-*.safetensors"))]
    return unit(unit(np.concatenate(shards).astype(np.float32)).sum(1))


LABELS = np.repeat(np.arange(PEOPLE), PICTURES)


def test_similarities_are_those_of_loops(few, monkeypatch: pytest.MonkeyPatch):
    embeddings, labels = few
    monkeypatch.setattr(vetting, "_CELLS", 17)  # some rows at a time
    people = people_of(embeddings, labels, 6)
    own = own_similarity(embeddings, labels, people, True)
    best, who = nearest_other(embeddings, labels, people)
    for row in range(20):
        assert own[row] == pytest.approx(slow.own(embeddings, labels, row), abs=1e-6, nan_ok=True)
        value, person = slow.nearest(embeddings, labels, row)
        assert (best[row], who[row]) == (pytest.approx(value, abs=1e-6), person)
    for person in range(6):
        assert people.within()[person] == pytest.approx(slow.within(embeddings, labels, person), abs=1e-6, nan_ok=True)
    means = people.means()
    assert means[0] @ means[3] == pytest.approx(slow.between(embeddings, labels, 0, 3), abs=1e-6)
    assert np.isnan(own[5])


def test_pictures_that_are_not_in_the_sums_are_not_taken_out_of_them(few):
    embeddings, labels = few
    people = people_of(embeddings[:10], labels[:10], 6)
    own = own_similarity(embeddings[10:], labels[10:], people, False)
    assert own[-2] == pytest.approx(slow.mean_cosine(embeddings[18], list(embeddings[:3])), abs=1e-6)
    assert np.isnan(own[0])


def test_half_of_the_values_may_be_anything():
    values = np.random.default_rng(0).normal(5, 2, 100_001)
    assert robust(values) == (pytest.approx(5, abs=0.03), pytest.approx(2, abs=0.03))
    values[:40_000] = 1e9
    values[40_000] = np.nan
    middle, deviation = robust(values)
    assert 5 < middle < 8
    assert 2 < deviation < 6
    assert robust(np.array([np.nan])) == (0.0, 0.0)


def test_nothing_is_doubted_where_labels_are_right(seen):
    known = no_reference(PEOPLE, 512)
    assert doubtful_labels(seen, LABELS, known, VettingConf()) == []
    assert split_people(seen, LABELS, known, VettingConf()) == []


@pytest.mark.parametrize(("share", "found", "wrongly"), [(0.01, 0.95, 1), (0.1, 0.93, 2), (0.2, 0.88, 4)])
def test_wrong_labels_of_a_first_night_are_found(seen, share: float, found: float, wrongly: int):
    labels, wrong = mislabelled(np.random.default_rng(1), LABELS, share)
    doubts = doubtful_labels(seen, labels, no_reference(PEOPLE, 512), VettingConf())
    rows = {doubt.which for doubt in doubts}
    assert len(rows & wrong) >= found * len(wrong)
    assert len(rows - wrong) <= wrongly
    assert np.mean([doubt.other == LABELS[doubt.which] for doubt in doubts if doubt.which in wrong]) > 0.98
    assert all(doubt.own_similarity < doubt.other_similarity for doubt in doubts)


@pytest.mark.parametrize(("share", "found", "wrongly"), [(0.02, 0.85, 1), (0.3, 0.9, 2), (0.6, 0.7, 25)])
def test_wrong_labels_of_a_later_night_are_found_even_where_most_are_wrong(seen, share: float, found: float, wrongly):
    known, old = earlier(seen)
    labels, wrong = mislabelled(np.random.default_rng(2), LABELS[~old], share)
    rows = {doubt.which for doubt in doubtful_labels(seen[~old], labels, known, VettingConf())}
    assert len(rows & wrong) >= found * len(wrong)
    assert len(rows - wrong) <= wrongly


def test_a_known_person_under_another_name_is_found(seen):
    known, old = earlier(seen)
    labels = LABELS[~old].copy()
    split = np.random.default_rng(4).choice(400, 40, False)
    for number, person in enumerate(split):
        labels[labels == person] = PEOPLE + number
    known = ReferenceStats(people_of(known.sample, known.labels, PEOPLE + 40), known.sample, known.labels)
    doubts = split_people(seen[~old], labels, known, VettingConf())
    found = {doubt.which: doubt.other for doubt in doubts}
    assert found.items() <= {PEOPLE + k: int(person) for k, person in enumerate(split)}.items()
    assert len(found) >= 36


def test_of_two_new_people_who_are_one_the_later_is_too_many(seen):
    labels = LABELS.copy()
    split = np.random.default_rng(4).choice(PEOPLE, 40, False)
    for number, person in enumerate(split):
        labels[np.flatnonzero(LABELS == person)[3:]] = PEOPLE + number
    doubts = split_people(seen, labels, no_reference(PEOPLE + 40, 512), VettingConf())
    found = {doubt.which: doubt.other for doubt in doubts}
    assert found.items() <= {PEOPLE + k: int(person) for k, person in enumerate(split)}.items()
    assert len(found) >= 37


def test_three_names_of_one_person_leave_one(seen):
    labels = LABELS.copy()
    labels[[2, 3]], labels[4] = PEOPLE, PEOPLE + 1
    found = split_people(seen, labels, no_reference(PEOPLE + 2, 512), VettingConf())
    assert {doubt.which for doubt in found} <= {PEOPLE, PEOPLE + 1}
    assert PEOPLE in {doubt.which for doubt in found}


def test_a_teacher_that_cannot_tell_people_apart_doubts_nobody():
    noise = unit(np.random.default_rng(0).normal(size=(500, 16)))
    labels = np.repeat(np.arange(100), 5)
    assert doubtful_labels(noise, labels, no_reference(100, 16), VettingConf()) == []
    assert split_people(noise, labels, no_reference(100, 16), VettingConf()) == []


def test_of_a_new_person_and_a_known_one_the_new_is_too_many_whatever_the_numbers():
    embeddings, labels = crowd()
    known = ReferenceStats(people_of(embeddings, labels + 1, 41), embeddings, labels + 1)
    found = split_people(embeddings[labels == 6], np.zeros(5, np.int64), known, VettingConf())
    assert [(doubt.which, doubt.other) for doubt in found] == [(0, 7)]


def test_similarities_that_are_no_higher_with_the_own_person_limit_nothing():
    noise, labels = unit(np.random.default_rng(0).normal(size=(500, 16))), np.repeat(np.arange(100), 5)
    people = people_of(noise, labels, 100)
    own = own_similarity(noise, labels, people, True)
    assert vetting._label_limits(noise, labels, own, people, VettingConf()) == (-np.inf, np.inf)
    assert vetting._split_limit(people, np.zeros(100, bool), VettingConf()) == np.inf


def test_unlabelled_pictures_and_lonely_ones_are_not_judged(seen):
    labels, wrong = mislabelled(np.random.default_rng(1), LABELS, 0.1)
    labels[list(wrong)[:100]] = UNLABELLED
    rows = {doubt.which for doubt in doubtful_labels(seen, labels, no_reference(PEOPLE, 512), VettingConf())}
    assert not rows & set(list(wrong)[:100])
    alone = np.arange(PEOPLE)
    assert doubtful_labels(seen[::5], alone, no_reference(PEOPLE, 512), VettingConf()) == []


def test_too_few_similarities_tell_nothing(seen):
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    embeddings = seen[[0, 1, 5, 5, 6, 7, 10, 11, 12]]
    assert doubtful_labels(embeddings, labels, no_reference(3, 512), VettingConf()) == []
    assert split_people(embeddings, labels, no_reference(3, 512), VettingConf()) == []


def crowd(width: int = 128, people: int = 40, pictures: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that are all alike their person, at a cosine of 0.97 to 0.99, and unlike every other."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(people), pictures)
    return unit(np.eye(people, width)[labels] + 0.015 * rng.normal(size=(len(labels), width))), labels


@pytest.mark.parametrize(
    ("own", "other", "doubted"),
    [
        (0.2, 0.0, False),  # unlike its person and like nobody: blurred, perhaps, and no wrong label
        (0.6, 0.5, False),  # less like its person than usual, but less still like the other one
        (0.95, 0.3, False),  # like its person as usual
        (0.3, 0.6, True),
        (0.0, 0.95, True),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_a_label_is_doubted_only_where_another_person_is_nearer(own: float, other: float, doubted: bool, later: bool):
    """Two questions: is the picture unlike its own person, and is it like another one, more than like its own?"""
    embeddings, labels = crowd()
    odd = own * np.eye(128)[7] + other * np.eye(128)[23]
    odd[100] = max(0.0, 1 - own**2 - other**2) ** 0.5
    if later:
        known = ReferenceStats(people_of(embeddings, labels, 40), embeddings, labels)
        found = doubtful_labels(unit(odd[None]), np.array([7]), known, VettingConf())
        row = 0
    else:
        found = doubtful_labels(
            np.r_[embeddings, unit(odd[None])], np.r_[labels, 7], no_reference(40, 128), VettingConf()
        )
        row = len(labels)
    assert [(doubt.which, doubt.other) for doubt in found] == ([(row, 23)] if doubted else [])
    for doubt in found:
        assert doubt.own_similarity == pytest.approx(own * 0.985, abs=0.05)
        assert doubt.other_similarity == pytest.approx(other * 0.985, abs=0.05)


@pytest.mark.parametrize("wide", [False, True])
def test_two_people_are_one_only_above_both_limits(wide: bool):
    """As like as one's own pictures are to each other, and liker than the nearest other people usually are.

    Where pictures of a person differ widely, the first limit is low and the second decides.
    """
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(60), 5)
    spread = np.where(np.arange(60) % 2, 2.0, 0.1) if wide else np.full(60, 0.1)
    around = rng.normal(size=(60, 48))
    embeddings = unit(around[labels] + spread[labels, None] * rng.normal(size=(300, 48)))
    people = people_of(embeddings, labels, 60)
    inside, scatter = robust(people.within())
    between, apart = robust(nearest_other(people.means(), np.arange(60), people)[0])
    first, second = inside - 1.5 * scatter, between + 3.0 * apart
    assert (second > first) == wide
    limits = VettingConf(split=1.5, other=3.0)
    for old in (np.zeros(60, bool), np.ones(60, bool)):
        assert vetting._split_limit(people, old, limits) == pytest.approx(max(first, second))
    assert vetting._split_limit(people, np.zeros(60, bool), VettingConf(least=61)) == np.inf


def test_limits_that_nobody_gives_are_these():
    assert VettingConf() == VettingConf(own=2.5, other=2.5, split=2.0, least=10)


@pytest.mark.parametrize(("option", "value"), [("own", 0.0), ("other", -1.0), ("split", float("nan")), ("least", 1)])
def test_limits_that_mean_nothing_are_refused(option: str, value: float):
    with pytest.raises(UserError, match=f"vetting.{option} is "):
        VettingConf(**{option: value})  # pyright: ignore[reportArgumentType]


def mislabelled(rng: np.random.Generator, labels: np.ndarray, share: float) -> tuple[np.ndarray, set[int]]:
    """Labels of which a share is another person's, and the rows of these."""
    wrong = rng.choice(len(labels), round(share * len(labels)), False)
    labels = labels.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, PEOPLE, len(wrong))) % PEOPLE
    return labels, set(wrong.tolist())


def earlier(seen: np.ndarray) -> tuple[ReferenceStats, np.ndarray]:
    """Three pictures each of the first 400 people as an earlier night's, and which rows these are."""
    old = (LABELS < 400) & (np.arange(len(LABELS)) % PICTURES < 3)
    return ReferenceStats(people_of(seen[old], LABELS[old], PEOPLE), seen[old], LABELS[old]), old
