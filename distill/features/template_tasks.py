"""The two tasks of IJB over features of templates: 1:1 verification of pairs, 1:N identification in galleries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distill.data.damage import Damage
from distill.data.ijb import (
    Enrolment,
    IjbFolder,
    Ints,
    LooseFaces,
    Rows,
    TemplatePairs,
    read_enrolment,
    read_template_pairs,
)
from distill.errors import UserError
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.identification import Identification, identify, mean, mean_rows, search
from distill.metrics.templates import Floats, pair_scores, verify_templates
from distill.progress import waiting


@dataclass(frozen=True)
class TaskScores:
    """Tables to print, by their titles, and their content for the JSON file."""

    tables: Mapping[str, Sequence[Sequence[str]]]
    json: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Verifying:
    """1:1: pairs of templates, and the subject of each template if the tables of the 1:N protocol have it."""

    name: str
    pairs: TemplatePairs
    subject: Ints | None

    def without(self, lost: NDArray[np.bool_]) -> tuple[Verifying, dict[str, int]]:
        """The same without pairs of lost templates [t], and how many those are."""
        gone = lost[self.pairs.left] | lost[self.pairs.right]
        kept = TemplatePairs(self.pairs.left[~gone], self.pairs.right[~gone], self.pairs.same[~gone])
        return replace(self, pairs=kept), {"pairs_left_out": int(gone.sum())}

    def judge(self, features: Floats, bootstrap: Bootstrap) -> TaskScores:
        """Accuracy and TPR at FPR of the pairs, from features [t d] of the templates."""
        pairs = self.pairs
        with waiting(f"scoring {self.name}", len(pairs), "pairs") as progress:
            scores = pair_scores(features, pairs.left, pairs.right, progress)
        found = verify_templates(scores, pairs.same, self._persons(), bootstrap)
        return TaskScores({f"{self.name} 1:1": found.rows()}, found.to_json())

    def _persons(self) -> Rows | None:
        """Both persons of each pair [p 2], numbered from 0; None where tables and labels do not agree."""
        if self.subject is None:
            return None
        _, number = np.unique(self.subject, return_inverse=True)
        persons = number.astype(np.int32)[np.stack([self.pairs.left, self.pairs.right], axis=1)]
        agree = (persons[:, 0] == persons[:, 1]) == self.pairs.same
        if agree.all():
            return persons
        print(
            f"{self.name}: {(~agree).sum():,} labels of pairs contradict the subjects of the 1:N tables; no intervals"
        )
        return None


@dataclass(frozen=True, eq=False)
class Identifying:
    """1:N: galleries by name, and the probes that are searched in each of them."""

    name: str
    galleries: dict[str, Enrolment]
    probes: Enrolment
    lost: NDArray[np.bool_] | None = None

    def without(self, lost: NDArray[np.bool_]) -> tuple[Identifying, dict[str, int]]:
        """The same without lost templates [t], and the number of searches left out because of them."""
        left_out = sum((~self._searchable(gallery, lost)).sum() for gallery in self.galleries.values())
        return replace(self, lost=lost), {"searches_left_out": int(left_out)}

    def _searchable(self, gallery: Enrolment, lost: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which probes [p] have a template, and their subject still in the gallery if it was enrolled."""
        there = gallery.subject[~lost[gallery.template]]
        gone = np.setdiff1d(gallery.subject, there)
        return ~lost[self.probes.template] & ~np.isin(self.probes.subject, gone)

    def judge(self, features: Floats, bootstrap: Bootstrap) -> TaskScores:
        """Rank and TPIR at FPIR in each gallery and their mean, from features [t d] of the templates."""
        each = {name: self._searched(name, features, bootstrap) for name in self.galleries}
        tables = {f"{self.name} 1:N, {name}": found.rows() for name, found in each.items()}
        over = mean(list(each.values()))
        tables[f"{self.name} 1:N, all"] = mean_rows(over)
        return TaskScores(tables, {"galleries": {name: found.to_json() for name, found in each.items()}, "mean": over})

    def _searched(self, name: str, features: Floats, bootstrap: Bootstrap) -> Identification:
        gallery, probes = self.galleries[name], self.probes
        if self.lost is not None:
            kept, there = ~self.lost[gallery.template], self._searchable(gallery, self.lost)
            gallery = Enrolment(gallery.template[kept], gallery.subject[kept])
            probes = Enrolment(probes.template[there], probes.subject[there])
        with waiting(f"searching {self.name} {name}", len(probes.template), "probes") as progress:
            found = search(
                features[gallery.template], gallery.subject, features[probes.template], probes.subject, progress
            )
        return identify(found, probes.subject, len(np.unique(gallery.subject)), bootstrap)


def lost_templates(faces: LooseFaces, templates: Ints, damage: Damage) -> NDArray[np.bool_]:
    """Which of the sorted templates [t] have no image that can be read."""
    whole = np.delete(faces.template, np.array(list(damage.met), np.int64))
    return ~np.isin(templates, whole)


def read_verifying(folder: IjbFolder, templates: Ints) -> Verifying:
    """The pairs of templates of the 1:1 protocol; ``UserError`` where they lack one of the two kinds."""
    path = folder.meta("template_pair_label.txt")
    with waiting(f"reading {path.name}", path.stat().st_size, "bytes") as progress:
        pairs = read_template_pairs(folder, templates, progress)
    genuine, impostor = int(pairs.same.sum()), int((~pairs.same).sum())
    if not genuine or not impostor:
        raise UserError(f"{path}: makes {genuine:,} genuine and {impostor:,} impostor pairs; expected both kinds")
    return Verifying(folder.name, pairs, _subjects(folder, templates))


def read_identifying(folder: IjbFolder, templates: Ints) -> Identifying:
    """Galleries and probes of the 1:N protocol; ``UserError`` where one is missing or no probe can be found."""
    paths = folder.galleries()
    if not paths:
        raise UserError(f"{folder.meta('1N_gallery_*.csv')}: no such files; expected the galleries, G1 and G2 say")
    galleries = {name: read_enrolment(path, templates) for name, path in paths.items()}
    probes = read_enrolment(folder.probes(), templates)
    for name, gallery in galleries.items():
        if not np.isin(probes.subject, gallery.subject).any():
            raise UserError(
                f"{folder.probes()}: shows none of the {len(np.unique(gallery.subject)):,} people of "
                f"{paths[name].name}; expected probes of people who are enrolled there"
            )
    return Identifying(folder.name, galleries, probes)


def _subjects(folder: IjbFolder, templates: Ints) -> Ints | None:
    """The subject of each template [t]; None where the tables of the 1:N protocol are not there or leave some out."""
    paths = [*folder.galleries().values(), folder.probes()]
    if not all(path.is_file() for path in paths):
        return None
    subject, known = np.zeros(len(templates), np.int64), np.zeros(len(templates), bool)
    for path in paths:
        table = read_enrolment(path, templates)
        subject[table.template], known[table.template] = table.subject, True
    return subject if known.all() else None
