"""Under a real Trainer: what a log and what a terminal get to see."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from rich.console import Console
from torch.utils.data import DataLoader

from distill.format import duration
from distill.tracking.series import Recorder
from distill.training.progress_display import ProgressDisplay, describe
from distill.training.throughput import ThroughputMeter

TOTAL = 6


class Line(pl.LightningModule):
    """A straight line that reports like the distiller does."""

    def __init__(self, recorder: Recorder, fail_at: int | None = None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.recorder, self.fail_at = recorder, fail_at

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.global_step == self.fail_at:
            raise ValueError("broken")
        loss = self.layer(batch).square().mean()
        self.recorder(self.global_step, {"loss": 4.5, "weighted/margin": 4.0, "weighted/cosine": 0.5, "lr": 0.1})
        if self.global_step == 2:
            self.recorder(self.global_step, {"verification/accuracy": 0.925})
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def train(
    out: io.StringIO,
    terminal: bool,
    every_s: float = 0.0,
    stop_at: int = TOTAL,
    resume: Path | None = None,
    fail_at: int | None = None,
) -> pl.Trainer:
    console = Console(file=out, force_terminal=terminal, width=80, highlight=False)
    meter = ThroughputMeter(4)
    recorder = Recorder([])
    progress = ProgressDisplay(TOTAL, meter.throughput, recorder.last, every_s, console)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=stop_at,
        callbacks=[meter, progress],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    images = DataLoader(torch.randn(4 * TOTAL, 2), batch_size=4)  # pyright: ignore[reportArgumentType]
    trainer.fit(Line(recorder, fail_at), images, ckpt_path=resume, weights_only=True)
    return trainer


pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def test_a_log_gets_plain_lines(out: io.StringIO) -> None:
    train(out, terminal=False)
    lines = out.getvalue().splitlines()
    assert lines[0] == "starts at step 0 of 6"
    assert "\x1b" not in out.getvalue()
    assert len(lines) == 1 + TOTAL
    assert lines[-1].startswith("step 6/6 (100%)  ")
    assert "images/s  0:00 left  loss 4.5 (margin 4, cosine 0.5)  accuracy 92.50%" in lines[-1]


def test_a_quiet_log_gets_the_first_and_the_last_line(out: io.StringIO) -> None:
    train(out, terminal=False, every_s=1000)
    assert [line[:8] for line in out.getvalue().splitlines()] == ["starts a", "step 6/6"]


def test_a_terminal_gets_a_bar_and_the_losses(out: io.StringIO) -> None:
    train(out, terminal=True)
    text = out.getvalue()
    assert "━" in text
    assert "6/6" in text
    assert "loss 4.5" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back


def test_a_failure_gives_the_terminal_back(out: io.StringIO) -> None:
    with pytest.raises(ValueError, match="broken"):
        train(out, terminal=True, fail_at=2)
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1


def test_a_resumed_run_continues_at_its_step(tmp_path: Path, out: io.StringIO) -> None:
    train(io.StringIO(), terminal=False, stop_at=4).save_checkpoint(tmp_path / "last.ckpt")
    train(out, terminal=False, resume=tmp_path / "last.ckpt")
    lines = out.getvalue().splitlines()
    assert lines[0] == "resumes at step 4 of 6"
    assert [line[:8] for line in lines[1:]] == ["step 5/6", "step 6/6"]


def test_one_term_is_not_repeated() -> None:
    assert describe({"loss": 1.25, "weighted/margin": 1.25, "lr": 0.1}) == "loss 1.25"
    assert describe({}) == ""


def test_several_verification_sets_keep_their_names() -> None:
    values = {"verification/lfw/accuracy": 0.99, "verification/cfp/accuracy": 0.9, "verification/lfw/auc": 1.0}
    assert describe(values) == " lfw accuracy 99.00%  cfp accuracy 90.00%"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3600, "1:00:00")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
