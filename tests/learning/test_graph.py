"""The graph networks are their formulas, and a masked joint is not in the graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from emoframe.core import registry
from emoframe.core.errors import DataError
from emoframe.learning.keypoint_backbones.gat import GAT, GATLayer
from emoframe.learning.keypoint_backbones.gcn import GCN, GCNLayer
from emoframe.learning.keypoint_backbones.gin import GIN, GINLayer
from emoframe.learning.keypoint_backbones.graph import adjacency, neighbour_table, neighbours
from emoframe.records import Output, Target

NETWORKS: list[Any] = [GCN, GIN, GAT]
V, EDGES = 7, ((0, 1), (1, 2), (1, 3), (2, 3), (4, 5))  # joint 6 has no edge
every_network = pytest.mark.parametrize("network", NETWORKS)

Vector = torch.Tensor
Graph = dict[int, list[int]]
"""Valid neighbours of each valid joint, itself left out."""


def build(network: Any, **given: Any) -> Any:
    """A small network in float64 whose every parameter matters."""
    torch.manual_seed(0)
    wiring = {"num_joints": V, "in_channels": 3, "edges": EDGES} | given
    net = network(**{"channels": 4, "hidden": 5, "dropout": 0.0, **wiring}).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.7)
    return net


def clips(channels: int = 3, joints: int = V) -> tuple[torch.Tensor, torch.Tensor]:
    """Two clips of five frames; the last frame of the second is masked throughout."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, joints, channels, generator=generator, dtype=torch.float64)
    mask = torch.rand(2, 5, joints, generator=generator) > 0.3
    mask[0, 0], mask[1, -1] = True, False
    return x, mask


def plain_norm(norm: Any, x: Vector) -> Vector:
    spread = ((x - x.mean()) ** 2).mean() + norm.eps
    return (x - x.mean()) / spread.sqrt() * norm.weight + norm.bias


def plain_gcn(layer: Any, x: dict[int, Vector], graph: Graph) -> dict[int, Vector]:
    degree = {v: 1 + len(others) for v, others in graph.items()}
    return {
        u: layer.linear.bias
        + sum(layer.linear.weight @ x[v] / math.sqrt(degree[u] * degree[v]) for v in [u, *graph[u]])
        for u in graph
    }


def plain_gin(layer: Any, x: dict[int, Vector], graph: Graph) -> dict[int, Vector]:
    done = {}
    for u in graph:
        total = (1 + layer.eps) * x[u]
        for v in graph[u]:
            total = total + x[v]
        inside = plain_norm(layer.rest.norm, layer.linear.weight @ total + layer.linear.bias)
        done[u] = layer.rest.linear.weight @ inside.clamp(min=0) + layer.rest.linear.bias
    return done


def plain_gat(layer: Any, x: dict[int, Vector], graph: Graph) -> dict[int, Vector]:
    done = {}
    for u in graph:
        heads = []
        for head, weight in enumerate(layer.linear.weight.chunk(layer.heads)):
            receive = layer.receiver_HC[head] @ (weight @ x[u])
            score = {v: receive + layer.sender_HC[head] @ (weight @ x[v]) for v in [u, *graph[u]]}
            share = {v: (e if e > 0 else 0.2 * e).exp() for v, e in score.items()}
            total = sum(share.values())
            heads.append(sum(share[v] / total * (weight @ x[v]) for v in share))
        done[u] = torch.cat(heads)
    return done


PLAIN: dict[Any, Callable[..., dict[int, Vector]]] = {
    GCN: plain_gcn, GIN: plain_gin, GAT: plain_gat,
}  # fmt: skip


def plain_network(net: Any, x_VC: torch.Tensor, mask_V: torch.Tensor) -> Vector:
    """One frame, joint by joint, over the graph of the valid joints alone."""
    valid = [v for v in range(len(mask_V)) if mask_V[v]]
    linked = {*EDGES, *((b, a) for a, b in EDGES)}
    graph = {u: [v for v in valid if (u, v) in linked] for u in valid}
    x = {v: x_VC[v] for v in valid}
    for layer, norm in zip(net.layers, net.norms, strict=True):
        x = PLAIN[type(net)](layer, x, graph)
        x = {v: plain_norm(norm, h).clamp(min=0) for v, h in x.items()}
    width = net.norms[-1].weight.numel()
    h = net.projection.bias
    for v in valid:
        h = h + net.projection.weight[:, v * width : (v + 1) * width] @ x[v]
    return h


@every_network
@pytest.mark.parametrize("in_channels", [3, 6])
def test_a_network_is_its_formula_on_the_graph_of_valid_joints(
    network: Any, in_channels: int
) -> None:
    """The channels grow in one case and shrink in the other: weights go after or before the sum."""
    net = build(network, in_channels=in_channels)
    x, mask = clips(in_channels)
    slow = torch.stack(
        [plain_network(net, x[n, t], mask[n, t]) for n in range(2) for t in range(5)]
    ).unflatten(0, (2, 5))
    torch.testing.assert_close(net(x, mask), slow, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("in_dim", [3, 6])
def test_layers_agree_with_those_of_torch_geometric(in_dim: int) -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    links = torch.tensor([*EDGES, *((b, a) for a, b in EDGES)]).t()
    x, everyone = torch.randn(V, 1, in_dim), torch.ones(V, 1, dtype=torch.bool)

    gcn = GCNLayer(adjacency(V, EDGES), in_dim, 4)
    nn.init.normal_(gcn.linear.bias)
    peer = geometric.GCNConv(in_dim, 4)
    peer.lin.weight, peer.bias = gcn.linear.weight, gcn.linear.bias
    torch.testing.assert_close(gcn(x, everyone)[:, 0], peer(x[:, 0], links))

    gin = GINLayer(adjacency(V, EDGES), in_dim, 4)
    nn.init.constant_(gin.eps, 0.3)
    peer = geometric.GINConv(nn.Sequential(gin.linear, gin.rest), eps=0.3)
    torch.testing.assert_close(gin(x, everyone)[:, 0], peer(x[:, 0], links))

    gat = GATLayer(*neighbour_table(V, EDGES), 2, in_dim, 4)
    peer = geometric.GATConv(in_dim, 2, heads=2, bias=False)
    with torch.no_grad():
        peer.lin.weight.copy_(gat.linear.weight)
        peer.att_dst.copy_(gat.receiver_HC[None])
        peer.att_src.copy_(gat.sender_HC[None])
    torch.testing.assert_close(gat(x, everyone)[:, 0], peer(x[:, 0], links))


@every_network
def test_a_masked_joint_is_as_good_as_deleted(network: Any) -> None:
    kept = [0, 1, 3, 6]
    net = build(network)
    small = build(network, num_joints=4, edges=((0, 1), (1, 2)))
    weights = net.state_dict()
    weights["projection.weight"] = (
        weights["projection.weight"].unflatten(1, (V, -1))[:, kept].flatten(1)
    )
    small.load_state_dict(weights)
    x, _ = clips()
    mask = torch.zeros(2, 5, V, dtype=torch.bool)
    mask[..., kept] = True
    torch.testing.assert_close(net(x, mask), small(x[:, :, kept], mask[:, :, kept]))


@every_network
def test_masked_joints_and_padded_frames_change_nothing_in_training_either(network: Any) -> None:
    net = build(network).train()
    x, mask = clips()

    def gradients(x: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        h = net(x, mask)[:, :5]
        return [h, *torch.autograd.grad(h.square().sum(), [*net.parameters()])]

    hidden = x.masked_fill(~mask[..., None], torch.nan)
    padding = torch.full((2, 3, V, 3), 9.0, dtype=torch.float64)
    longer = torch.cat([hidden, padding], 1)
    longer_mask = torch.cat([mask, torch.zeros(2, 3, V, dtype=torch.bool)], 1)
    for one, other in zip(gradients(x, mask), gradients(longer, longer_mask), strict=True):
        torch.testing.assert_close(one, other)


@every_network
def test_isolated_joints_and_empty_frames_give_finite_values_and_gradients(network: Any) -> None:
    net = build(network, num_joints=4, edges=((0, 1),))
    x, mask = clips(joints=4)
    x.requires_grad_()
    h = net(x, mask)
    h.square().sum().backward()
    assert torch.isfinite(h).all()
    assert x.grad is not None
    assert x.grad[:, :, 2].any()
    assert x.grad[:, :, 3].any()
    assert not x.grad[~mask].any()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@every_network
def test_a_clip_without_any_joint_gives_finite_gradients_of_the_loss(network: Any) -> None:
    net = build(network).float()
    encoder = registry.build(
        "temporal_encoder", "patch_transformer", in_dim=5, patch=2, dim=8, heads=2
    )
    pooling = registry.build("pooling", "attention", in_dim=8)
    loss = registry.build("loss", "focal", num_classes=8, class_counts=(1,) * 8)
    x, mask = clips()
    mask[1] = False
    tokens, _, valid = encoder(net(x.float(), mask), torch.arange(5.0).expand(2, 5), mask.any(-1))
    z, _ = pooling(tokens, valid)
    one_hot = torch.eye(8)[:2]
    target = Target(one_hot, torch.ones(2), torch.zeros(2, dtype=torch.bool), torch.arange(2))
    loss(Output(z, z, {}), target).backward()
    parts = nn.ModuleList([net, encoder, pooling])
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in parts.parameters())
    assert not z[1].any()


@every_network
def test_working_in_pieces_changes_nothing(network: Any) -> None:
    net = build(network)
    x, mask = clips()
    whole = net(x, mask)
    net.piece = 3
    torch.testing.assert_close(net(x, mask), whole)


@every_network
def test_the_input_is_left_as_it_was(network: Any) -> None:
    x, mask = clips()
    before = x.clone()
    build(network)(x, mask)
    assert torch.equal(x, before)


@every_network
def test_loops_repeated_and_reversed_edges_change_nothing(network: Any) -> None:
    x, mask = clips()
    other = build(network, edges=(*EDGES, (1, 0), (0, 1), (3, 3), (6, 6)))
    torch.testing.assert_close(other(x, mask), build(network)(x, mask))


@every_network
def test_a_group_of_one_joint_hears_itself(network: Any) -> None:
    net = build(network, num_joints=1, edges=())
    x, mask = clips(joints=1)
    assert torch.isfinite(net(x, mask)).all()
    assert not torch.equal(net(x, mask)[0, 0], net(x + 1, mask)[0, 0])


@every_network
@pytest.mark.parametrize("edges", [(), ((2, 2),)])
def test_a_group_of_several_joints_without_an_edge_is_refused(network: Any, edges: Any) -> None:
    with pytest.raises(DataError, match=r"group of 7 joints has no edge .* layout edges, .* mlp"):
        build(network, edges=edges)


@every_network
@pytest.mark.parametrize("edge", [(0, V), (-1, 0)])
def test_an_edge_to_a_joint_that_is_not_there_is_refused(
    network: Any, edge: tuple[int, int]
) -> None:
    with pytest.raises(DataError, match=rf"edge \({edge[0]}, {edge[1]}\) .* joints are 0 to 6"):
        build(network, edges=(*EDGES, edge))


def test_channels_that_the_heads_cannot_share_are_refused() -> None:
    with pytest.raises(DataError, match="channels 6 is no multiple of heads 4"):
        build(GAT, channels=6)


def test_neighbours_are_sorted_and_symmetric() -> None:
    assert neighbours(V, EDGES) == [[1], [0, 2, 3], [1, 3], [1, 2], [5], [4], []]
    matrix = adjacency(V, EDGES)
    assert torch.equal(matrix, matrix.t())
    assert matrix.sum() == 2 * len(EDGES)
    table, filled = neighbour_table(V, EDGES)
    assert table[1].tolist() == [1, 0, 2, 3]
    assert table[6].tolist() == [6, 6, 6, 6]
    assert filled.sum(1).tolist() == [2, 4, 3, 3, 2, 2, 1]


@every_network
def test_the_mean_readout_does_not_see_which_joint_is_which(network: Any) -> None:
    ring = [(n, (n + 1) % V) for n in range(V)]
    net = build(network, edges=ring, readout="mean")
    x, mask = clips()
    turned = net(x.roll(1, 2), mask.roll(1, 2))
    torch.testing.assert_close(turned, net(x, mask))
    assert not torch.allclose(build(network, edges=ring)(x.roll(1, 2), mask.roll(1, 2)), turned)
    assert torch.isfinite(net(x, torch.zeros_like(mask))).all()
