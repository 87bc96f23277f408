"""``make ijb model=FILE.onnx data.root=IJBC``: IJB-B or IJB-C, 1:1 verification or 1:N identification."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.config.scoring_jobs import IjbConf, IjbTask
from distill.data.damage import Damage
from distill.data.ijb import (
    Enrolment,
    IjbFolder,
    Ints,
    LooseFaces,
    Rows,
    TemplatePairs,
    find_ijb,
    read_enrolment,
    read_faces,
    read_template_pairs,
    require_scores,
)
from distill.errors import UserError
from distill.features.template_sums import Bound, Pooling, pool_images
from distill.files.atomic import write_json
from distill.files.network_file import network_sha256
from distill.files.writable import require_writable
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.identification import Identification, identify, mean, mean_rows, search
from distill.metrics.templates import Floats, pair_scores, template_features, verify_templates
from distill.progress import waiting
from distill.report.terminal import print_figures
from distill.runs.model_file import model_file
from distill.runs.requirements import require_at_least, require_both_kinds
from distill.shown import shown
from teachers.onnx_network import OnnxNetwork, describe

COLUMNS = ("exact", "published rule", "interval")


@dataclass(frozen=True)
class Found:
    """Tables to print, by their titles, and what the JSON file holds of them."""

    tables: Mapping[str, Sequence[Sequence[str]]]
    json: Mapping[str, object]


def run(conf: IjbConf) -> int:
    """Print the figures and write them beside the model or into ``out``; all text files are read before any image."""
    require_at_least(conf, batch_size=1, bootstrap=1, seed=0)
    folder, model = find_ijb(Path(conf.data.root)), model_file(conf.model)
    network, faces = OnnxNetwork(model), read_faces(folder)
    if conf.detector_score:
        require_scores(faces)
    templates = np.unique(faces.template)
    protocol = _galleries(folder, templates) if conf.task is IjbTask.identify else _pairs(folder, templates)
    out = Path(conf.out) if conf.out else model.parent
    result = require_writable(out / f"{folder.name}_{conf.task.value}.json")
    how = Pooling(conf.flip, conf.detector_score, conf.batch_size)
    source = describe(network.preprocessing, network.preprocessing_source)
    known, damage = network_sha256(model), Damage(conf.max_damaged)
    key = _key(known, source, str(how), faces.fingerprint())
    sums = pool_images(network, faces, how, Bound(out / f"{folder.name}_templates.npz", key), damage)
    lost = lost_templates(faces, templates, damage)
    features = np.zeros_like(sums)
    features[~lost] = template_features(sums[~lost])
    protocol, left_out = protocol.without(lost)
    found = protocol.judge(features, Bootstrap(resamples=conf.bootstrap, seed=conf.seed))
    for title, rows in found.tables.items():
        print_figures((title, *COLUMNS), rows)
    print(f"features: {how}\npreprocessing: {source}")
    about = {"model": shown(model), "model_sha256": known}
    about |= {"set": shown(folder.name), "images": len(faces), "templates": len(templates)}
    about |= {"features": str(how), "preprocessing": source}
    about |= {**damage.to_json(), "templates_left_out": int(lost.sum()), **left_out}
    if len(damage):
        gone = ", ".join(f"{count:,} {what.removesuffix('_left_out')}" for what, count in left_out.items())
        print(f"{damage.words()}, and with them {lost.sum():,} templates and {gone}")
    write_json(result, {**about, **found.json})
    return 0


def lost_templates(faces: LooseFaces, templates: Ints, damage: Damage) -> NDArray[np.bool_]:
    """Which of the sorted templates [t] have no image that can be read."""
    whole = np.delete(faces.template, np.array(list(damage.met), np.int64))
    return ~np.isin(templates, whole)


@dataclass(frozen=True, eq=False)
class Verifying:
    """1:1: pairs of templates, and whose template each is where the tables of the 1:N protocol say so."""

    name: str
    pairs: TemplatePairs
    subject: Ints | None

    def without(self, lost: NDArray[np.bool_]) -> tuple[Verifying, dict[str, int]]:
        """The same without pairs of lost templates [t], and how many those are."""
        gone = lost[self.pairs.left] | lost[self.pairs.right]
        kept = TemplatePairs(self.pairs.left[~gone], self.pairs.right[~gone], self.pairs.same[~gone])
        return replace(self, pairs=kept), {"pairs_left_out": int(gone.sum())}

    def judge(self, features: Floats, bootstrap: Bootstrap) -> Found:
        pairs = self.pairs
        with waiting(f"scoring {self.name}", len(pairs), "pairs") as progress:
            scores = pair_scores(features, pairs.left, pairs.right, progress)
        found = verify_templates(scores, pairs.same, self._persons(), bootstrap)
        return Found({f"{self.name} 1:1": found.rows()}, found.to_json())

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
    """1:N: galleries by name, and the probes that are looked for in each of them."""

    name: str
    galleries: dict[str, Enrolment]
    probes: Enrolment
    lost: NDArray[np.bool_] | None = None

    def without(self, lost: NDArray[np.bool_]) -> tuple[Identifying, dict[str, int]]:
        """The same without lost templates [t], and how many searches are not made for want of them."""
        left_out = sum((~self._searchable(gallery, lost)).sum() for gallery in self.galleries.values())
        return replace(self, lost=lost), {"searches_left_out": int(left_out)}

    def _searchable(self, gallery: Enrolment, lost: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which probes [p] are there, and have their subject in the gallery if it was ever there."""
        there = gallery.subject[~lost[gallery.template]]
        gone = np.setdiff1d(gallery.subject, there)
        return ~lost[self.probes.template] & ~np.isin(self.probes.subject, gone)

    def judge(self, features: Floats, bootstrap: Bootstrap) -> Found:
        each = {name: self._searched(name, features, bootstrap) for name in self.galleries}
        tables = {f"{self.name} 1:N, {name}": found.rows() for name, found in each.items()}
        over = mean(list(each.values()))
        tables[f"{self.name} 1:N, all"] = mean_rows(over)
        return Found(tables, {"galleries": {name: found.to_json() for name, found in each.items()}, "mean": over})

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


def _pairs(folder: IjbFolder, templates: Ints) -> Verifying:
    path = folder.meta("template_pair_label.txt")
    with waiting(f"reading {path.name}", path.stat().st_size, "bytes") as progress:
        pairs = read_template_pairs(folder, templates, progress)
    require_both_kinds(path, int(pairs.same.sum()), int((~pairs.same).sum()))
    return Verifying(folder.name, pairs, _subjects(folder, templates))


def _galleries(folder: IjbFolder, templates: Ints) -> Identifying:
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


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()
