"""Layers that several parts of the network share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 192


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels at each time step."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(CHANNELS))
        self.beta = nn.Parameter(torch.empty(CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x.mT, (CHANNELS,), self.gamma, self.beta).mT
