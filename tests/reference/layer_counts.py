"""Layer arithmetic: an architecture is written down layer by layer, and its cost summed by the challenge's formulas.

It knows no network of ours and no PyTorch, so that a table of a paper can be counted from its text.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Layers:
    """Counts of one image, maps square unless two sides are given; ``folded`` gives every convolution a bias."""

    folded: bool = False
    parameters: int = 0
    macs: int = 0
    flops: int = 0

    def conv(self, cin: int, cout: int, kernel: int | tuple[int, int], side: int, groups: int = 1, bias: bool = False):
        """``side`` is that of the output."""
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        outputs = side * side * cout
        self.parameters += cin // groups * high * wide * cout + cout * bias
        self.macs += cin // groups * high * wide * outputs
        free = 0 if bias or self.folded else 1
        self.flops += int((2 * cin * high * wide - free) * outputs / groups)

    def dense(self, inputs: int, outputs: int, bias: bool = True):
        self.parameters += inputs * outputs + outputs * bias
        self.macs += inputs * outputs
        self.flops += 2 * inputs * outputs - outputs * (not bias)

    def norm(self, channels: int, affine: bool = True):
        self.parameters += 2 * channels * affine

    def prelu(self, channels: int):
        self.parameters += channels

    def resize(self, channels: int, side: int):
        """Bilinear: four products and three sums for each output."""
        self.macs += 4 * channels * side * side
        self.flops += 7 * channels * side * side
