"""What each stage of a night leaves: one dataclass a stage, read by attribute, and its JSON in the stage's record.

The JSON's ``format`` is the dataclass' version. Records from before there was one have the same keys. Whatever an older
record does not have takes the default, and fields that the dataclass does not know are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

from distill.errors import UserError
from distill.judge.judgement import Judgement
from distill.nightly.records import STAGES, Record
from distill.shown import shown

Kind = Literal["damaged", "duplicate", "contradiction", "doubtful_label", "split_person", "empty_drop"]


@dataclass(frozen=True)
class StageResult:
    """What a stage leaves; subclasses name the stage and, where a key is no name of Python's, the key of a field."""

    STAGE: ClassVar[str]
    FORMAT: ClassVar[int] = 1

    @classmethod
    def of(cls, done: Mapping[str, Record]) -> Self:
        """From the records of a night, which have to hold that of the stage."""
        return cls.read(done[cls.STAGE].result)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """From the JSON of a record; ``UserError`` where a newer version wrote it."""
        if (found := raw.get("format", cls.FORMAT)) > cls.FORMAT:
            raise UserError(
                f"the record of a night's stage {cls.STAGE} has format {found}; expected {cls.FORMAT}, which this "
                "version writes: a newer face-distill reads it"
            )
        return cls.from_json(raw)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(**{one.name: raw[key] for one in fields(cls) if (key := _key(one)) in raw})

    def to_json(self) -> dict[str, Any]:
        return {"format": self.FORMAT, **self.facts()}

    def facts(self) -> dict[str, Any]:
        """All fields as plain JSON."""
        plain = _plain(asdict(self))
        return {_key(one): plain[one.name] for one in fields(self)}


def _plain(tree: Any) -> Any:
    """The same with lists for tuples, as it comes back from JSON."""
    if isinstance(tree, Mapping):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _key(one: Field[Any]) -> str:
    return one.metadata.get("key", one.name)


@dataclass(frozen=True)
class FreezeResult(StageResult):
    """How many images and people there are, in which drops; ``data_sha256`` is of the contents of all."""

    STAGE = "freeze"
    images: int = 0
    people: int = 0
    new_images: int = 0
    new_people: int = 0
    drops: Sequence[str] = ()
    new_drops: Sequence[str] = ()
    data_sha256: str = ""


@dataclass(frozen=True)
class SignalsResult(StageResult):
    """How many images the teacher was run on, and not; ``stores`` of the drops, relative to the service's folder."""

    STAGE = "signals"
    images_new: int = 0
    images_kept: int = 0
    seconds: float = 0.0
    stores: Sequence[str] = ()


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with new data. ``file`` is a picture's name within the drop, a person's, or ""."""

    kind: Kind
    drop: str
    file: str
    text: str

    @classmethod
    def of(cls, kind: Kind, drop: str, file: str, text: str) -> Finding:
        """With whatever cannot be printed of names escaped: they stand in logs and on pages."""
        return cls(kind, drop, shown(file), shown(text))


@dataclass(frozen=True)
class VetResult(StageResult):
    """How many findings of each kind there are, how many images lose their label, and the first of the findings."""

    STAGE = "vet"
    damaged: int = 0
    duplicates: int = 0
    doubtful_labels: int = 0
    split_people: int = 0
    unlabelled: int = 0
    findings: Sequence[Finding] = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return super().from_json({**raw, "findings": [Finding(**one) for one in raw.get("findings", ())]})


@dataclass(frozen=True)
class TrainResult(StageResult):
    """What the student began with, ``from_version`` or nothing, and how long it was trained: samples seen, seconds."""

    STAGE = "train"
    start: str = ""
    from_version: str | None = field(default=None, metadata={"key": "from"})
    images: int = 0
    image_steps: int = 0
    replayed: float = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class ExportResult(StageResult):
    """Bytes of the ONNX file."""

    STAGE = "export"
    bytes: int = 0


@dataclass(frozen=True)
class ParityResult(StageResult):
    """How far the file is from the network; ``parity`` has the fields of ``distill.export.parity.Parity``."""

    STAGE = "parity"
    max_difference: float = 0.0
    min_cosine: float = 1.0
    passed: bool = False
    reason: str = ""
    parity: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckResult(StageResult):
    """Whether the file is within the protocol's limits, and why not; FLOPs of one crop, bytes of all that ships."""

    STAGE = "check"
    verdict: Literal["PASS", "FAIL"] = "FAIL"
    flops: int | None = None
    bytes: int | None = None
    reasons: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        return self.verdict == "PASS"


@dataclass(frozen=True)
class SetScores:
    """A model on one set by the standard protocol: fractions; TPR by its FPR as text, None where undefined."""

    pairs: int | None = None
    accuracy_mean: float | None = None
    accuracy_std: float | None = None
    auc: float | None = None
    tpr_at_fpr: Mapping[str, float | None] = field(default_factory=dict)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> SetScores:
        """From a record, or from a score of ``make verify``, which has more."""
        return cls(**{one.name: raw[one.name] for one in fields(cls) if one.name in raw})


@dataclass(frozen=True)
class VerifyResult(StageResult):
    """The scores of the student by set, and of the ``champion``, None without one; ``networks``: sha256 by who."""

    STAGE = "verify"
    sets: Mapping[str, SetScores] = field(default_factory=dict)
    champion: Mapping[str, SetScores] | None = None
    champion_version: str | None = None
    networks: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return super().from_json({**raw, **{who: _by_set(raw.get(who)) for who in ("sets", "champion") if who in raw}})


def _by_set(raw: Mapping[str, Any] | None) -> Mapping[str, SetScores] | None:
    return None if raw is None else {name: SetScores.from_json(scores) for name, scores in raw.items()}


@dataclass(frozen=True)
class JudgeResult(StageResult):
    """The judgement, whose JSON is that of ``judge.json``."""

    STAGE = "judge"
    judgement: Judgement

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(Judgement.from_json(raw))

    def facts(self) -> dict[str, Any]:
        return self.judgement.to_json()


@dataclass(frozen=True)
class PromoteResult(StageResult):
    """What became of the student: its ``version`` where it is in service; ``before`` is what was in service."""

    STAGE = "promote"
    outcome: Literal["promoted", "rejected"] = "rejected"
    version: str | None = None
    before: str | None = None
    reason: str = ""

    @property
    def promoted(self) -> bool:
        return self.outcome == "promoted"


@dataclass(frozen=True)
class ReportResult(StageResult):
    """The versions that the registry let go."""

    STAGE = "report"
    pruned: Sequence[str] = ()


@dataclass(frozen=True)
class NightResults:
    """What the stages of a night left; None of those that are not done, or whose records are damaged."""

    freeze: FreezeResult | None = None
    signals: SignalsResult | None = None
    vet: VetResult | None = None
    train: TrainResult | None = None
    export: ExportResult | None = None
    parity: ParityResult | None = None
    check: CheckResult | None = None
    verify: VerifyResult | None = None
    judge: JudgeResult | None = None
    promote: PromoteResult | None = None
    report: ReportResult | None = None

    @classmethod
    def of(cls, done: Mapping[str, Record]) -> NightResults:
        return cls.from_json({stage: record.result for stage, record in done.items()})

    @classmethod
    def from_json(cls, raw: Mapping[str, Mapping[str, Any]]) -> NightResults:
        """From the JSON of each stage."""
        found: dict[str, Any] = {stage: RESULTS[stage].read(raw[stage]) for stage in STAGES if stage in raw}
        return cls(**found)


_KINDS: tuple[type[StageResult], ...] = (
    *(FreezeResult, SignalsResult, VetResult, TrainResult, ExportResult, ParityResult),
    *(CheckResult, VerifyResult, JudgeResult, PromoteResult, ReportResult),
)
RESULTS: Mapping[str, type[StageResult]] = {kind.STAGE: kind for kind in _KINDS}
"""What each stage leaves, by its name."""
