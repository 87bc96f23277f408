"""What an objective learned, written and read back; and files that are none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from distill.errors import UserError
from distill.losses.centres import Moments
from distill.runs.centres_file import CENTRES, ClassPeople, Learned, read_learned, write_learned


def learned(people: int = 5, moments: bool = True) -> Learned:
    torch.manual_seed(people)
    state = {"centres": torch.randn(people, 3), "losses.x.adapter.linear.weight": torch.randn(4, 3)}
    known = Moments(torch.rand(people, 3), 70) if moments else None
    return Learned(ClassPeople(np.arange(people) * 7, "name"), state, ("centres",), known)


@pytest.mark.parametrize("moments", [True, False])
def test_what_is_written_is_read(tmp_path: Path, moments: bool) -> None:
    before = learned(moments=moments)
    write_learned(tmp_path / CENTRES, before, "night-3")
    after = read_learned(tmp_path / CENTRES)
    assert after.people.numbers.tolist() == before.people.numbers.tolist()
    assert (after.people.known_by, after.class_rows) == ("name", ("centres",))
    assert after.state.keys() == before.state.keys()
    assert all(torch.equal(after.state[name], value) for name, value in before.state.items())
    if before.moments is None:
        assert after.moments is None
        return
    assert after.moments is not None
    assert after.moments.steps == 70
    assert torch.equal(after.moments.second, before.moments.second)


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        write_learned(tmp_path / name / CENTRES, learned(), "night-3")
        written.append((tmp_path / name / CENTRES).read_bytes())
    assert written[0] == written[1]


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    path = tmp_path / CENTRES

    def told() -> str:
        with pytest.raises(UserError, match=f"^{re.escape(str(path))}") as caught:
            read_learned(path)
        return str(caught.value)

    save_file({"stem": torch.ones(2)}, path)
    assert "holds no class centres with their people" in told()
    write_learned(path, learned(), "night-3")
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert "is not a complete safetensors file" in told()
    path.write_bytes(whole)
    tensors = load_file(path)
    tensors["centres"] = tensors["centres"][:4]
    with_metadata(path, tensors)
    assert "has 5 people and centres of [4, 5]" in told()


def with_metadata(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """The file again, with other tensors beside the same metadata."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, metadata)
