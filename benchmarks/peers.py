"""What emoframe's keypoint networks are timed against, at the same sizes.

`ByHand` is mlp + transformer as a researcher would write them; `GraphPeer` and `Peer` are built
from torch_geometric and torch's own encoder.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from emoframe.skeleton import OPENPOSE_137

DIM, LAYERS, HEADS, DROPOUT, NODE = 256, 2, 4, 0.1, 32
"""Width, depth and heads of the temporal encoder; dropout; channels of a node of a graph."""
Batch = dict[str, Any]


class ByHand(nn.Module):
    """What a researcher would write for mlp + transformer, with the same numbers inside."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = nn.ModuleList(_Group(len(g)) for g in OPENPOSE_137.groups.values())
        self.projection = nn.Linear(3 * DIM, DIM)
        self.fusion_norm, self.fusion = nn.LayerNorm(DIM), nn.Linear(DIM, DIM)
        self.drop = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(DIM, 2)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the loss."""
        x, mask = batch["inputs"]["keypoints"], batch["masks"]["keypoints"]
        time_s, z = batch["times"]["keypoints"], []
        for joints, group in zip(OPENPOSE_137.groups.values(), self.groups, strict=True):
            part = slice(joints[0], joints[-1] + 1)
            z.append(group(x[:, :, part], mask[:, :, part], time_s))
        z = self.projection(torch.cat(z, -1))
        z = z + self.drop(nn.functional.gelu(self.fusion(self.fusion_norm(z))))
        return nn.functional.cross_entropy(self.classifier(z), batch["target"].prob_NK)


class _Group(nn.Module):
    """One group by hand: normalise, MLP, Transformer, mean."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(joints, 8))
        self.register_buffer("total", torch.zeros(joints, 8))
        self.register_buffer("square", torch.zeros(joints, 8))
        self.missing = nn.Parameter(torch.zeros(joints, 11))
        self.mlp = nn.Sequential(
            nn.Linear(joints * 11, DIM), nn.LayerNorm(DIM), nn.GELU(), nn.Dropout(DROPOUT),
            nn.Linear(DIM, DIM), nn.LayerNorm(DIM), nn.GELU(), nn.Dropout(DROPOUT),
        )  # fmt: skip
        self.tokens = nn.Linear(DIM, DIM)
        self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(DIM)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, time_s: torch.Tensor) -> torch.Tensor:
        seen = torch.cat([mask[..., None].float(), x[..., 8:]], -1).repeat_interleave(2, -1)
        values = x[..., :8] * seen
        if self.training:
            self.count.lerp_(seen.sum((0, 1)), 0.1)
            self.total.lerp_(values.sum((0, 1)), 0.1)
            self.square.lerp_((values**2).sum((0, 1)), 0.1)
        mean = self.total / self.count.clamp(min=1e-12)
        var = (self.square / self.count.clamp(min=1e-12) - mean**2).clamp(min=1e-6)
        var = torch.where(self.count > 0, var, 1.0)
        x = torch.cat([(values - mean) * var.rsqrt() * seen, x[..., 8:]], -1)
        h = self.mlp(torch.where(mask[..., None], x, self.missing).flatten(-2))
        period = 0.08 * (1000 / 0.08) ** (torch.arange(DIM // 2) / (DIM // 2 - 1))
        angle = 2 * math.pi * time_s[..., None] / period
        h = self.tokens(h) + torch.cat([angle.sin(), angle.cos()], -1)
        valid = mask.any(-1)
        for layer in self.layers:
            h = layer(h, valid)
        h = self.norm(h) * valid[..., None]
        return h.sum(1) / valid.sum(1, keepdim=True)


class _Layer(nn.Module):
    """One pre-norm layer by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.qkv = nn.LayerNorm(DIM), nn.Linear(DIM, 3 * DIM)
        self.out, self.norm2 = nn.Linear(DIM, DIM), nn.LayerNorm(DIM)
        self.up, self.down = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, valid[:, None, None])
        x = x + self.drop(self.out(mixed.transpose(1, 2).flatten(-2)))
        up = self.drop(nn.functional.gelu(self.up(self.norm2(x))))
        return x + self.drop(self.down(up))


class GraphPeer(nn.Module):
    """torch_geometric's GCNConv over a batch of sparse graphs, one graph a frame and group."""

    def __init__(self, group: str) -> None:
        from torch_geometric.nn import GCNConv

        super().__init__()
        self.joints = OPENPOSE_137.groups[group]
        pairs = torch.tensor(OPENPOSE_137.group_edges(group)).T
        self.edges = torch.cat([pairs, pairs.flip(0)], 1)
        self.convs = nn.ModuleList([GCNConv(11, NODE), GCNConv(NODE, NODE)])
        self.norms = nn.ModuleList(nn.LayerNorm(NODE) for _ in range(2))
        self.flat = nn.Linear(len(self.joints) * NODE, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return h_NTD of x_NTVC."""
        own = x[:, :, self.joints[0] : self.joints[-1] + 1]
        graphs, joints = own.shape[0] * own.shape[1], len(self.joints)
        first = torch.arange(graphs).repeat_interleave(self.edges.shape[1]) * joints
        edges = self.edges.repeat(1, graphs) + first
        nodes = own.reshape(-1, own.shape[-1])
        for conv, norm in zip(self.convs, self.norms, strict=True):
            nodes = nn.functional.gelu(norm(conv(nodes, edges)))
        return self.flat(nodes.reshape(*own.shape[:2], -1))


class Peer(nn.Module):
    """GCNConv, then torch.nn.TransformerEncoder over every frame, for each group."""

    def __init__(self) -> None:
        super().__init__()
        self.graphs = nn.ModuleList(GraphPeer(group) for group in OPENPOSE_137.groups)
        layer = nn.TransformerEncoderLayer(
            DIM, HEADS, 4 * DIM, DROPOUT, "gelu", batch_first=True, norm_first=True
        )
        self.encoders = nn.ModuleList(
            nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(DIM), enable_nested_tensor=False)
            for _ in self.graphs
        )
        self.head = nn.Sequential(nn.Linear(3 * DIM, DIM), nn.GELU(), nn.Linear(DIM, 2))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the loss."""
        x, mask = batch["inputs"]["keypoints"], batch["masks"]["keypoints"]
        z = []
        for graph, encoder in zip(self.graphs, self.encoders, strict=True):
            hidden = ~mask[:, :, graph.joints[0] : graph.joints[-1] + 1].any(-1)
            z.append(encoder(graph(x), src_key_padding_mask=hidden).mean(1))
        return nn.functional.cross_entropy(self.head(torch.cat(z, -1)), batch["target"].prob_NK)
