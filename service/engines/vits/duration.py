"""Duration of each phoneme: VITS's stochastic duration predictor, run from noise to durations.

Training runs it as a flow from durations to noise; inference inverts it and its splines.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.engines.vits.layers import CHANNELS, ChannelNorm

SPLINES = ("7", "5", "3")  # in inference order; the file lacks training's first, 1, which has no use here
KERNEL, LAYERS = 3, 3
BINS = 10
BOUND = 5.0  # the spline applies within [-BOUND, BOUND]; outside it is the identity
LEAST = 1e-3  # minimum of a bin's width and height (as fractions) and of a slope


class DurationPredictor(nn.Module):
    """Logarithm of each phoneme's duration in frames."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(CHANNELS, CHANNELS, 1)
        self.convs = SeparableConvs()
        self.proj = nn.Conv1d(CHANNELS, CHANNELS, 1)
        self.flows = nn.ModuleDict({"0": Affine(), **{name: SplineCoupling() for name in SPLINES}})

    def forward(self, hidden: Tensor, noise: Tensor) -> Tensor:
        """Map hidden [1, CHANNELS, ids] and noise [1, 2, ids] to [ids]."""
        condition = self.proj(self.convs(self.pre(hidden)))
        for name in SPLINES:
            noise = self.flows[name](noise.flip(1), condition)
        return self.flows["0"](noise.flip(1))[0, 0]


class SeparableConvs(nn.Module):
    """Dilated convolutions with a growing receptive field, depthwise and then pointwise."""

    def __init__(self) -> None:
        super().__init__()
        self.convs_sep = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS, KERNEL, groups=CHANNELS, dilation=apart, padding=apart * (KERNEL // 2))
            for apart in (KERNEL**layer for layer in range(LAYERS))
        )
        self.convs_1x1 = nn.ModuleList(nn.Conv1d(CHANNELS, CHANNELS, 1) for _ in range(LAYERS))
        self.norms_1 = nn.ModuleList(ChannelNorm() for _ in range(LAYERS))
        self.norms_2 = nn.ModuleList(ChannelNorm() for _ in range(LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        for alone, norm_1, together, norm_2 in zip(
            self.convs_sep, self.norms_1, self.convs_1x1, self.norms_2, strict=True
        ):
            y = functional.gelu(norm_1(alone(x)))
            x = x + functional.gelu(norm_2(together(y)))
        return x


class Affine(nn.Module):
    """Shift and scale of both rows. The file stores exp(-s) of the trained parameter s, as inference needs it."""

    def __init__(self) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.empty(2, 1))
        self.scale = nn.Parameter(torch.empty(2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.m) * self.scale


class SplineCoupling(nn.Module):
    """Coupling that transforms the second row by splines, with parameters from the first row and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(1, CHANNELS, 1)
        self.convs = SeparableConvs()
        self.proj = nn.Conv1d(CHANNELS, 3 * BINS - 1, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        unchanged, other = x.chunk(2, dim=1)
        shape = self.proj(self.convs(self.pre(unchanged) + condition)).mT  # [1, ids, 3 * BINS - 1]
        widths, heights, slopes = shape.split((BINS, BINS, BINS - 1), dim=2)
        bent = unbend(other[:, 0], widths / CHANNELS**0.5, heights / CHANNELS**0.5, slopes)
        return torch.cat((unchanged, bent[:, None]), dim=1)


def unbend(y: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor) -> Tensor:
    """Invert a monotonic rational-quadratic spline (Durkan et al., 2019): return the x at which it has the value y.

    y is [...]; widths and heights [..., BINS] and the slopes between bins [..., BINS - 1] are raw network outputs.
    """
    left, width = _bins(widths)
    bottom, height = _bins(heights)
    # At both ends the slope is that of the identity outside: 1.
    one = math.log(math.expm1(1 - LEAST))
    slopes = LEAST + functional.softplus(functional.pad(slopes, (1, 1), value=one))
    inside = (y >= -BOUND) & (y <= BOUND)
    above = y.clamp(-BOUND, BOUND)[..., None]
    at = (above >= bottom).sum(-1, keepdim=True) - 1

    def in_bin(values: Tensor) -> Tensor:
        return values.gather(-1, at)[..., 0]

    rise, run = in_bin(height), in_bin(width)
    start, end = in_bin(slopes[..., :-1]), in_bin(slopes[..., 1:])
    mean = rise / run
    up = above[..., 0] - in_bin(bottom)
    bend = up * (start + end - 2 * mean)
    # Within a bin the spline is y = P(t) / Q(t). This form of the quadratic's root in 0..1 avoids cancellation.
    a, b, c = rise * (mean - start) + bend, rise * start - bend, -mean * up
    t = 2 * c / (-b - torch.sqrt(b * b - 4 * a * c))
    return torch.where(inside, t * run + in_bin(left), y)


def _bins(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Return the start and the size of each bin, [..., BINS] each; together they cover -BOUND to BOUND."""
    shares = LEAST + (1 - LEAST * BINS) * torch.softmax(raw, dim=-1)
    edges = functional.pad(2 * BOUND * torch.cumsum(shares, dim=-1) - BOUND, (1, 0), value=-BOUND)
    edges[..., -1] = BOUND
    return edges[..., :-1], edges.diff(dim=-1)
