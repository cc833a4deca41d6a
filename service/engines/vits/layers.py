"""What more than one part of the network is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 192


class ChannelNorm(nn.Module):
    """Normalises over the channels of each moment."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(CHANNELS))
        self.beta = nn.Parameter(torch.empty(CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x.mT, (CHANNELS,), self.gamma, self.beta).mT
