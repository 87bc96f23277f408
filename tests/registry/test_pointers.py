"""The pointers change together, name who served before, and lead nowhere but to versions of the registry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.registry.history import EventKind, RegistryEvent
from distill.registry.pointers import CHAMPION, PREVIOUS, Pointers


def event(state: int, version: str, before: str | None = None) -> RegistryEvent:
    return RegistryEvent(
        EventKind.promote, version, "2026-11-29T02:00:00+00:00", state=state, before=before, why={"night": state}
    )


@pytest.fixture
def pointers(tmp_path: Path) -> Pointers:
    """Of a registry that has just been made."""
    made = Pointers(tmp_path)
    made.prepare()
    return made


@pytest.fixture
def changed(pointers: Pointers) -> Pointers:
    """v0002 serves after v0001."""
    pointers.change(event(1, "v0001"))
    pointers.change(event(2, "v0002", before="v0001"))
    return pointers


def test_nothing_serves_at_first(pointers: Pointers):
    assert pointers.number() == 0
    assert pointers.numbers() == []
    assert pointers.name(CHAMPION) is pointers.name(PREVIOUS) is None


def test_the_first_champion_has_nobody_before_it(pointers: Pointers):
    pointers.change(event(1, "v0001"))
    assert (pointers.name(CHAMPION), pointers.name(PREVIOUS)) == ("v0001", None)


def test_both_change_in_one_link_that_consumers_reach_by_two(changed: Pointers, tmp_path: Path):
    assert (changed.name(CHAMPION), changed.name(PREVIOUS)) == ("v0002", "v0001")
    assert os.readlink(tmp_path / "state") == "states/000002"
    assert {name: os.readlink(tmp_path / name) for name in (CHAMPION, PREVIOUS)} == {
        CHAMPION: "state/champion",
        PREVIOUS: "state/previous",
    }
    assert (tmp_path / "champion").resolve() == tmp_path / "versions" / "v0002"


def test_states_that_are_over_stay_and_say_why(changed: Pointers):
    assert changed.numbers() == [1, 2]
    assert [changed.event(number) for number in (1, 2)] == [event(1, "v0001"), event(2, "v0002", before="v0001")]


def test_a_state_that_never_came_into_force_goes_and_the_others_stay(changed: Pointers, tmp_path: Path):
    (tmp_path / "states" / "000003").mkdir()
    (tmp_path / "states" / ".partial").mkdir()
    assert changed.numbers() == [1, 2]
    changed.prepare()
    assert sorted(path.name for path in (tmp_path / "states").iterdir()) == ["000001", "000002"]
    assert changed.name(CHAMPION) == "v0002"


def test_a_link_that_somebody_turned_is_put_right(changed: Pointers, tmp_path: Path):
    (tmp_path / CHAMPION).unlink()
    (tmp_path / CHAMPION).symlink_to("versions/v0001")
    changed.prepare()
    assert os.readlink(tmp_path / CHAMPION) == "state/champion"


def test_states_come_one_after_the_other(changed: Pointers):
    with pytest.raises(AssertionError, match="state 5 after 2"):
        changed.change(event(5, "v0003"))


@pytest.mark.parametrize("target", ["/versions/v0002", "../../versions/../v0002", "../../elsewhere/v0002", "v0002"])
def test_a_link_to_anywhere_else_is_refused(changed: Pointers, tmp_path: Path, target: str):
    link = tmp_path / "states" / "000002" / CHAMPION
    link.unlink()
    link.symlink_to(target)
    with pytest.raises(UserError, match=f"leads to {target}; expected a version of this registry"):
        changed.name(CHAMPION)


def test_a_state_that_is_gone_or_no_state_is_one_line(changed: Pointers, tmp_path: Path):
    (tmp_path / "states" / "000002").rename(tmp_path / "states" / "away")
    with pytest.raises(UserError, match="000002 is missing; expected the state that state leads to"):
        changed.name(CHAMPION)
    with pytest.raises(UserError, match="expected the event that this project wrote"):
        changed.event(2)
    (tmp_path / "state").unlink()
    (tmp_path / "state").symlink_to("states/away")
    with pytest.raises(UserError, match="leads to states/away; expected one of states"):
        changed.number()
