"""``registry`` and ``rollback``: what is shown, what changes, and what is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import main
from distill.registry.registry import Registry
from distill.tracking.outbox import Outbox, read_event
from reference.served_registry import MODEL, read_as_consumer, serve, snapshot
from registry.test_signing import write_keys


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The folder of a service with six versions."""
    serve(tmp_path / "nightly" / "registry")
    return tmp_path / "nightly"


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """The table's cells by version."""
    lines = [line.strip("| ").split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| v0")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_versions_are_listed_and_checked(service: Path, capsys: pytest.CaptureFixture[str]):
    before = snapshot(service / "registry")
    assert main(["registry", f"root={service}", "events=2"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].endswith("promote   v0004 after v0003: reason v0004 is better")
    assert len([line for line in out.splitlines() if " promote " in line or " add " in line]) == 2
    assert main(["registry", f"root={service}", "events=0"]) == 0
    table = rows(capsys)
    assert list(table) == [f"v000{n}" for n in range(1, 7)]
    assert {name: cells[0] for name, cells in table.items() if cells[0] != "-"} == {
        "v0003": "previous",
        "v0004": "champion",
    }
    assert table["v0004"][1:3] == ["intact", "0.0"]
    assert table["v0004"][4] == "4"
    assert snapshot(service / "registry") == before


def test_a_damaged_champion_is_a_failure_and_another_is_not(service: Path, capsys: pytest.CaptureFixture[str]):
    model = service / "registry/versions/v0001" / MODEL
    model.write_bytes(b"")
    (service / "registry/versions/junk").mkdir()
    assert main(["registry", f"root={service}"]) == 0
    out = capsys.readouterr().out
    assert f"note      {model}: has sha256 " in out
    assert "note      junk: is no version" in out
    (service / "registry/champion" / MODEL).write_bytes(b"")
    assert main(["registry", f"root={service}"]) == 1
    assert rows(capsys)["v0004"][:2] == ["champion", "DAMAGED"]


def test_pruning(service: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["registry", f"root={service}", "prune=true", "newest=1", "champions=0"]) == 0
    assert "pruned    v0001, v0002, v0005\n" in capsys.readouterr().out
    assert main(["registry", f"root={service}", "prune=true"]) == 0
    assert "pruned    none\n" in capsys.readouterr().out


def test_back_and_to_another_one(
    service: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(service.parent)  # where `root` needs not be said
    assert main(["rollback", "why='too many strangers let in'"]) == 0
    assert capsys.readouterr().out == "champion  v0003, until now v0004\n"
    assert read_as_consumer(service / "registry") == "v0003"
    assert "went back from v0004 to v0003" in refused("rollback")
    assert main(["rollback", "to=v0002"]) == 0
    assert main(["rollback", "to=v0002"]) == 0
    assert capsys.readouterr().out == "champion  v0002, until now v0003\nchampion  v0002, as before\n"
    assert "has no version 'v9'; expected one of: v0001, " in refused("rollback", "to=v9")
    assert main(["registry", "events=2"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-2].endswith("rollback  v0003 after v0004: why too many strangers let in")
    assert any("v0004" in line and "withdrawn" in line for line in told)


def test_wandb_is_told_of_a_rollback(service: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where nobody is logged in: what is to be told waits
    assert main(["rollback", f"root={service}", "tracking=online"]) == 0
    told = [read_event(path) for path in Outbox(service).pending()]
    assert {event.body["aliases"][0]: event.body["files"]["student.onnx"]["path"] for event in told} == {
        "champion": "registry/versions/v0003/student.onnx",
        "previous": "registry/versions/v0004/student.onnx",
    }


def test_signing_from_the_command_line(service: Path, tmp_path: Path, refused: Callable[..., str]):
    private, public = write_keys(tmp_path, "ours")
    assert "expected the signature of a trusted key" in refused(
        "rollback", f"root={service}", f"signing.trusted=[{public}]"
    )
    assert refused("registry", f"root={service}", "sign=true").startswith("signing.key is missing")
    assert main(["registry", f"root={service}", "sign=true", f"signing.key={private}"]) == 0
    assert main(["rollback", f"root={service}", f"signing.trusted=[{public}]"]) == 0
    assert Registry(service / "registry").champion() is not None
    private.chmod(0o644)
    assert "has mode 0644; expected 0600" in refused("registry", f"root={service}", f"signing.key={private}")


def test_what_is_refused(tmp_path: Path, refused: Callable[..., str]):
    missing = tmp_path / "nowhere"
    assert refused("registry", f"root={missing}").startswith(f"{missing}/registry does not exist; expected a registry")
    assert refused("rollback", f"root={missing}").startswith(f"{missing}/registry has no champion; expected")
    assert not missing.exists()
    assert refused("registry", f"root={missing}", "events=-1") == "events is -1; expected 0 or more"
    (missing / "registry").mkdir(parents=True)
    assert refused("registry", f"root={missing}", "prune=true", "newest=0").startswith("newest is 0; expected 1")
