"""VarGNet for faces: variable group convolution with a fixed number of channels in every group.

Source: VarGFaceNet (Yan et al., ICCVW 2019, arXiv 1910.04985), figure 1 and table 1, after VarGNet v2
(arXiv 1907.05653). ``VarGNet()`` with the arguments of ``conf/student/vargfacenet.yaml`` has the published
network's exact parameter and MAC counts. Deviations: none in the network; the input is expected to be normalised,
(x - 127.5) / 128, where the original does this inside its graph.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from distill.students.staged import through_stages
from distill.types import FaceNetwork, Output

EPS = 2e-5  # MXNet's value in the published network; PyTorch's default is 1e-5
MOMENTUM = 0.1  # MXNet writes the same update as momentum 0.9


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPS, momentum=MOMENTUM)


class Separable(nn.Sequential):
    """Group convolution 3x3 that expands, then a pointwise one: ``SEP(cin -> cout)`` of the paper."""

    def __init__(self, cin: int, cout: int, stride: int, expansion: int, group_width: int, act: bool) -> None:
        wide = cin * expansion
        layers: list[nn.Module] = [
            # groups of a fixed width, so that wider layers have more groups and the same cost per channel
            nn.Conv2d(cin, wide, 3, stride, 1, groups=cin // group_width, bias=False),
            _norm(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, cout, 1, bias=False),
            _norm(cout),
        ]
        super().__init__(*layers, *([nn.PReLU(cout)] if act else []))


class SqueezeExcite(nn.Module):
    """Channel gate with biases, PReLU inside and a sigmoid on top."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = channels // reduction
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            nn.PReLU(inner),
            nn.Conv2d(inner, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class Normal(nn.Module):
    """Two separable convolutions, a channel gate and the identity: keeps width and size."""

    def __init__(self, channels: int, group_width: int, se_reduction: int | None) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Separable(channels, channels, 1, 2, group_width, act=True),
            Separable(channels, channels, 1, 2, group_width, act=False),
            SqueezeExcite(channels, se_reduction) if se_reduction else nn.Identity(),
        )
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.body(x))


class Down(nn.Module):
    """Two strided branches summed and refined, plus a strided shortcut; never a channel gate."""

    def __init__(self, cin: int, cout: int, group_width: int) -> None:
        super().__init__()
        self.left = Separable(cin, cout, 2, 2, group_width, act=False)
        self.right = Separable(cin, cout, 2, 2, group_width, act=False)
        self.inner = nn.PReLU(cout)
        self.refine = Separable(cout, cout, 1, 2, group_width, act=False)
        self.shortcut = Separable(cin, cout, 2, 2, group_width, act=False)
        self.act = nn.PReLU(cout)

    def forward(self, x: Tensor) -> Tensor:
        # all three branches (b, cout, h / 2, w / 2)
        return self.act(self.refine(self.inner(self.left(x) + self.right(x))) + self.shortcut(x))


class Head(nn.Module):
    """The first reduction, 112 to 56, without expansion."""

    def __init__(self, channels: int, group_width: int, se_reduction: int | None) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Separable(channels, channels, 2, 1, group_width, act=True),
            Separable(channels, channels, 1, 1, group_width, act=False),
            SqueezeExcite(channels, se_reduction) if se_reduction else nn.Identity(),
        )
        self.shortcut = Separable(channels, channels, 2, 1, group_width, act=False)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.body(x) + self.shortcut(x))


class Embedding(nn.Sequential):
    """Variable group embedding: 7x7 maps to a vector without a dense layer over all of them."""

    def __init__(self, channels: int, last: int, embedding_dim: int, group_width: int) -> None:
        super().__init__(
            # (b, channels, 7, 7) -> (b, last, 7, 7)
            nn.Conv2d(channels, last, 1, bias=False),
            _norm(last),
            nn.PReLU(last),
            # (b, last, 1, 1)
            nn.Conv2d(last, last, 7, groups=last // group_width, bias=False),
            _norm(last),
            nn.Conv2d(last, last // 2, 1, bias=False),
            _norm(last // 2),
            nn.PReLU(last // 2),
            nn.Flatten(),
            # (b, last / 2) -> (b, d)
            nn.Linear(last // 2, embedding_dim),
            nn.BatchNorm1d(embedding_dim, eps=EPS, momentum=MOMENTUM),
        )


class VarGNet(FaceNetwork):
    """Normalised crops [b 3 112 112] to embeddings [b d].

    ``widths`` are the channels of the stem and head and of stages 2, 3 and 4 (maps of 56, 28, 14 and 7 px);
    ``units`` count each stage's blocks, the down-sampling one included.
    """

    def __init__(
        self,
        widths: Sequence[int],
        units: Sequence[int],
        last_channels: int = 1024,
        embedding_dim: int = 512,
        group_width: int = 8,
        se_reduction: int | None = 4,
    ) -> None:
        super().__init__()
        if len(widths) != 4 or len(units) != 3:
            raise ValueError(f"VarGNet needs 4 widths and 3 unit counts; got {list(widths)} and {list(units)}")
        if bad := [w for w in (*widths, last_channels) if w % group_width]:
            raise ValueError(f"VarGNet widths must be multiples of group_width {group_width}; got {bad}")
        self.embedding_dim = embedding_dim
        self.map_channels = {f"stage{i + 1}": w for i, w in enumerate(widths)}
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), _norm(widths[0]), nn.PReLU(widths[0]))
        self.stage1: nn.Module = Head(widths[0], group_width, se_reduction)
        stages = [
            nn.Sequential(
                Down(cin, cout, group_width), *(Normal(cout, group_width, se_reduction) for _ in range(count - 1))
            )
            for cin, cout, count in zip(widths[:-1], widths[1:], units, strict=True)
        ]
        self.stage2, self.stage3, self.stage4 = stages
        self.head = Embedding(widths[3], last_channels, embedding_dim, group_width)
        self.apply(_initialise)

    def forward_maps(self, x: Tensor) -> Output:
        """The embedding and the outputs of the four resolution stages."""
        return through_stages(self, self.stem, self.head, x)


def _initialise(module: nn.Module) -> None:
    """He initialisation by fan-in, PReLU at 0.25: the authors' issue tracker reports NaN with MXNet's default."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=0.25, mode="fan_in", nonlinearity="leaky_relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
