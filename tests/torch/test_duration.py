"""The inverse splines of the duration predictor against the forward splines."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from service.engines.vits.duration import BINS, BOUND, LEAST, unbend


def spline(x: float, widths: Tensor, heights: Tensor, slopes: Tensor) -> float:
    """Evaluate a monotonic rational-quadratic spline at x: equation 4 of Durkan et al. (2019)."""
    if abs(x) > BOUND:
        return x
    edges_x, edges_y = (
        [-BOUND, *(torch.cumsum(LEAST + (1 - LEAST * BINS) * torch.softmax(raw, 0), 0) * 2 * BOUND - BOUND).tolist()]
        for raw in (widths, heights)
    )
    slope = [1.0, *(LEAST + functional.softplus(slopes)).tolist(), 1.0]
    k = next(i for i in range(BINS) if x <= edges_x[i + 1] or i == BINS - 1)
    width, height = edges_x[k + 1] - edges_x[k], edges_y[k + 1] - edges_y[k]
    mean, t = height / width, (x - edges_x[k]) / width
    above = height * (mean * t**2 + slope[k] * t * (1 - t))
    below = mean + (slope[k + 1] + slope[k] - 2 * mean) * t * (1 - t)
    return float(edges_y[k] + above / below)


def test_the_spline_is_the_inverse_of_its_inverse() -> None:
    drawn = torch.Generator().manual_seed(1)
    count = 400
    y = torch.linspace(-7, 7, count, dtype=torch.float64)
    widths, heights, slopes = (
        2 * torch.randn(count, bins, generator=drawn, dtype=torch.float64) for bins in (BINS, BINS, BINS - 1)
    )
    x = unbend(y, widths, heights, slopes)
    back = [spline(float(x[i]), widths[i], heights[i], slopes[i]) for i in range(count)]
    torch.testing.assert_close(torch.tensor(back, dtype=torch.float64), y, atol=1e-6, rtol=0)
    outside = y.abs() > BOUND
    assert outside.sum() > 50
    assert torch.equal(x[outside], y[outside])
    assert float((x - y)[~outside].abs().max()) > 1, "the splines are not the identity"
