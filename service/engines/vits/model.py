"""Inference-only VITS network of the voice, in Piper's medium size; one sentence at a time.

Modules have the names of their parameters in the voice's file. One sentence fills the batch of 1, so the padding masks
are omitted. Tensors are float32 [1, channels, time]; time is in phoneme ids first, later in frames of 256 samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.engines.vits.duration import DurationPredictor
from service.engines.vits.layers import CHANNELS, ChannelNorm

HALF = CHANNELS // 2
SYMBOLS = 256
LAYERS, HEADS, WINDOW, FEED_FORWARD = 6, 2, 4, 768
COUPLINGS = ("0", "2", "4", "6")  # of the flow; the file also numbers the flips between them, which have no parameters
WAVENET_LAYERS, WAVENET_KERNEL = 4, 5
# Decoder: (output channels, kernel, stride) of each upsampling step, and (kernel, dilations) of the blocks after it.
WIDEST = 256
STEPS_UP = ((128, 16, 8), (64, 16, 8), (32, 8, 4))
BLOCKS = ((3, (1, 2)), (5, (2, 6)), (7, (3, 12)))


@dataclass(frozen=True)
class Scales:
    """Factors: `noise` of the sound, `length`, and `noise_w` of the durations. Noise 0 is deterministic."""

    noise: float
    length: float
    noise_w: float


class Vits(nn.Module):
    """Network from phoneme ids to samples."""

    def __init__(self) -> None:
        super().__init__()
        self.enc_p = TextEncoder()
        self.dp = DurationPredictor()
        self.flow = Flow()
        self.dec = Decoder()

    def forward(self, ids: Tensor, scales: Scales, generator: torch.Generator) -> Tensor:
        """Map int64 [ids] to float samples [n] in -1..1; noise comes from the CPU `generator`."""
        hidden, mean, log_deviation = self.enc_p(ids)
        log_durations = self.dp(hidden, _noise((1, 2, len(ids)), generator, ids.device) * scales.noise_w)
        frames = torch.ceil(torch.exp(log_durations) * scales.length).long()
        mean, log_deviation = (statistic.repeat_interleave(frames, dim=2) for statistic in (mean, log_deviation))
        noise = _noise(tuple(mean.shape), generator, ids.device) * scales.noise
        return self.dec(self.flow(mean + noise * torch.exp(log_deviation)))


def _noise(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """Draw noise on the CPU, so that a seed gives the same values on every device."""
    return torch.randn(shape, generator=generator).to(device)


class TextEncoder(nn.Module):
    """Text encoder: for each id the input of the duration predictor, and the mean and log deviation of its sound."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(SYMBOLS, CHANNELS)
        self.encoder = Transformer()
        self.proj = nn.Conv1d(CHANNELS, 2 * CHANNELS, 1)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.encoder((self.emb(ids) * CHANNELS**0.5).T[None])
        mean, log_deviation = self.proj(hidden).chunk(2, dim=1)
        return hidden, mean, log_deviation


class Transformer(nn.Module):
    """Alternating attention and feed-forward layers, each with a residual connection and then normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.attn_layers = nn.ModuleList(Attention() for _ in range(LAYERS))
        self.norm_layers_1 = nn.ModuleList(ChannelNorm() for _ in range(LAYERS))
        self.ffn_layers = nn.ModuleList(FeedForward() for _ in range(LAYERS))
        self.norm_layers_2 = nn.ModuleList(ChannelNorm() for _ in range(LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        layers = zip(self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True)
        for attend, norm_1, feed, norm_2 in layers:
            x = norm_1(x + attend(x))
            x = norm_2(x + feed(x))
        return x


class Attention(nn.Module):
    """Self-attention with relative position embeddings for distances up to WINDOW ids."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_q, self.conv_k, self.conv_v, self.conv_o = (nn.Conv1d(CHANNELS, CHANNELS, 1) for _ in range(4))
        self.emb_rel_k, self.emb_rel_v = (
            nn.Parameter(torch.empty(1, 2 * WINDOW + 1, CHANNELS // HEADS)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (self._heads(conv(x)) for conv in (self.conv_q, self.conv_k, self.conv_v))
        query = query * query.shape[-1] ** -0.5
        position = torch.arange(x.shape[2], device=x.device)
        # [from, to]: row of emb_rel where the distance is at most WINDOW
        apart = position[None] - position[:, None] + WINDOW
        near = (apart >= 0) & (apart <= 2 * WINDOW)
        by_distance = (query @ self.emb_rel_k.mT).gather(3, apart.clamp(0, 2 * WINDOW).expand(HEADS, -1, -1)[None])
        weights = torch.softmax(query @ key.mT + by_distance * near, dim=-1)
        to = position[:, None] + torch.arange(-WINDOW, WINDOW + 1, device=x.device)  # [from, row of emb_rel]
        exists = (to >= 0) & (to < len(position))
        by_row = weights.gather(3, to.clamp(0, len(position) - 1).expand(HEADS, -1, -1)[None]) * exists
        spoken = weights @ value + by_row @ self.emb_rel_v
        return self.conv_o(spoken.mT.reshape(x.shape))

    def _heads(self, x: Tensor) -> Tensor:
        """Split [1, channels, time] into [1, heads, time, channels of a head]."""
        return x.unflatten(1, (HEADS, -1)).mT


class FeedForward(nn.Module):
    """Two convolutions with kernel 3 over the ids."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_1 = nn.Conv1d(CHANNELS, FEED_FORWARD, 3, padding=1)
        self.conv_2 = nn.Conv1d(FEED_FORWARD, CHANNELS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_2(torch.relu(self.conv_1(x)))


class Flow(nn.Module):
    """Flow from the text encoder's distribution to the decoder's input: the couplings in reverse order."""

    def __init__(self) -> None:
        super().__init__()
        self.flows = nn.ModuleDict({name: Coupling() for name in COUPLINGS})

    def forward(self, x: Tensor) -> Tensor:
        for name in reversed(COUPLINGS):
            x = self.flows[name](x.flip(1))
        return x


class Coupling(nn.Module):
    """Subtract from one half of the channels a function of the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(HALF, CHANNELS, 1)
        self.enc = WaveNet()
        self.post = nn.Conv1d(CHANNELS, HALF, 1)

    def forward(self, x: Tensor) -> Tensor:
        unchanged, other = x.chunk(2, dim=1)
        return torch.cat((unchanged, other - self.post(self.enc(self.pre(unchanged)))), dim=1)


class WaveNet(nn.Module):
    """Gated convolutions; each adds to the input of the next and to the result, the last one to the result alone."""

    def __init__(self) -> None:
        super().__init__()
        last = WAVENET_LAYERS - 1
        self.in_layers = nn.ModuleList(
            nn.Conv1d(CHANNELS, 2 * CHANNELS, WAVENET_KERNEL, padding=WAVENET_KERNEL // 2) for _ in range(last + 1)
        )
        self.res_skip_layers = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS if layer == last else 2 * CHANNELS, 1) for layer in range(last + 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        result = torch.zeros_like(x)
        for layer, shares in zip(self.in_layers, self.res_skip_layers, strict=True):
            signal, gate = layer(x).chunk(2, dim=1)
            share = shares(torch.tanh(signal) * torch.sigmoid(gate))
            if share.shape[1] > CHANNELS:
                x = x + share[:, :CHANNELS]
            result = result + share[:, -CHANNELS:]
        return result


class Decoder(nn.Module):
    """HiFi-GAN decoder from frames to samples, with residual blocks of type 2."""

    def __init__(self) -> None:
        super().__init__()
        widths = (WIDEST, *(width for width, _, _ in STEPS_UP))
        self.conv_pre = nn.Conv1d(CHANNELS, WIDEST, 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(before, width, kernel, stride, padding=(kernel - stride) // 2)
            for before, (width, kernel, stride) in zip(widths, STEPS_UP, strict=False)
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, dilations) for width in widths[1:] for kernel, dilations in BLOCKS
        )
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return samples [n]."""
        x = self.conv_pre(x)
        for step, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, 0.1))
            blocks = self.resblocks[step * len(BLOCKS) : (step + 1) * len(BLOCKS)]
            x = sum(block(x) for block in blocks) / len(BLOCKS)
        return torch.tanh(self.conv_post(functional.leaky_relu(x, 0.01)))[0, 0]


class ResidualBlock(nn.Module):
    """One convolution per dilation, each with a residual connection."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = x + conv(functional.leaky_relu(x, 0.1))
        return x
