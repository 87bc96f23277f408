"""A run's folder: found again, locked, finished, and linked as the latest."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from distill.config.groups import ProtocolConf, TeacherConf, WeightLayout
from distill.errors import UserError
from distill.files.atomic import write_json
from distill.files.json_file import read_json
from distill.protocol.published import Published
from distill.runs.folder import METRICS, open_run


@dataclass
class Conf:
    seed: int = 1
    protocol: ProtocolConf | None = None
    teacher: TeacherConf | None = None


def test_the_same_name_is_the_same_folder(tmp_path: Path):
    with open_run(tmp_path, "a", False, Conf()) as first:
        assert (first.path / "config.yaml").read_text() == "seed: 1\nprotocol: null\nteacher: null\n"
        assert not first.finished
        first.finish({"verdict": "pass"})
        first.point_latest()
    with open_run(tmp_path, "a", False, Conf()) as again:
        assert again.finished
        assert again.metrics() == {"verdict": "pass"}
        assert (tmp_path / "latest").resolve() == again.path.resolve()


def test_a_name_given_again_with_another_configuration_is_refused(tmp_path: Path):
    with open_run(tmp_path, "a", False, Conf()):
        pass
    with pytest.raises(UserError, match=r"has seed: 1, and this command 2"), open_run(tmp_path, "a", False, Conf(2)):
        pass
    assert (tmp_path / "a" / "config.yaml").read_text() == "seed: 1\nprotocol: null\nteacher: null\n"


def test_what_others_published_does_not_make_another_run(tmp_path: Path):
    def conf(max_flops: int, *published: str) -> ProtocolConf:
        board = [Published(who=who, tpr=0.5, source="s", reason="other labels") for who in published]
        limits = {"max_flops": max_flops, "max_file_bytes": 2, "embedding_dim": 3, "far_target": 0.1}
        return ProtocolConf(name="p", kind="image", source="s", dtype="float32", published=board, **limits)

    with open_run(tmp_path, "a", False, Conf(protocol=conf(1, "somebody"))):
        pass
    with open_run(tmp_path, "a", False, Conf(protocol=conf(1, "somebody", "else"))):
        pass
    changed = Conf(protocol=conf(2))
    with pytest.raises(UserError, match=r"protocol\.max_flops: 1, and"), open_run(tmp_path, "a", False, changed):
        pass


def test_a_run_from_before_an_option_is_the_same_run_while_the_option_is_null(tmp_path: Path):
    def conf(layout: WeightLayout | None) -> Conf:
        return Conf(teacher=TeacherConf(name="r152", weights="w", layout=layout))

    with open_run(tmp_path, "a", False, conf(None)) as run:
        config = run.file("config.yaml")
    assert "  layout: null\n" in config.read_text()
    config.write_text(config.read_text().replace("  layout: null\n", ""))
    with open_run(tmp_path, "a", False, conf(None)):
        pass
    changed = conf(WeightLayout.adaface)
    line = r"teacher\.layout: nothing, and this command adaface"
    with pytest.raises(UserError, match=line), open_run(tmp_path, "a", False, changed):
        pass


def test_fresh_continues_the_unfinished_fresh_run_and_else_counts_on(tmp_path: Path):
    names = []
    for finish in (True, False, True, True):
        with open_run(tmp_path, "a", bool(names), Conf()) as folder:
            names.append(folder.path.name)
            if finish:
                folder.finish({})
    assert names == ["a", "a-2", "a-2", "a-3"]


def test_latest_moves_to_the_run_that_finished_last(tmp_path: Path):
    for name in ("a", "b"):
        with open_run(tmp_path, name, False, Conf()) as folder:
            folder.finish({})
            folder.point_latest()
    assert (tmp_path / "latest").readlink() == Path("b")


def test_two_processes_do_not_share_a_run(tmp_path: Path):
    script = (
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[2])\n"
        "from test_folder import Conf, open_run\n"
        "with open_run(Path(sys.argv[1]), 'a', False, Conf()):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"process {holder.pid}"), open_run(tmp_path, "a", False, Conf()):
        pass
    holder.kill()
    holder.communicate()
    with open_run(tmp_path, "a", False, Conf()) as folder:
        assert folder.path == tmp_path / "a", "a killed process holds nothing"


def test_no_write_permission_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot write to the run folder .*file/a"),
        open_run(tmp_path / "file", "a", False, Conf()),
    ):
        pass


def test_json_is_whole_or_the_old_one(tmp_path: Path):
    path = tmp_path / METRICS
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == [METRICS]


def test_torn_json_is_one_line(tmp_path: Path):
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(UserError, match=r"x\.json: cannot be read"):
        read_json(tmp_path / "x.json")
