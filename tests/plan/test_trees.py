"""Spanning trees against networkx and against all trees of tiny graphs."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnn2hw.model import BIPOLAR, BinaryConv, Tensor
from bnn2hw.plan import plan_layer
from bnn2hw.plan.bounded import _NEVER, _LevelSearch, bounded_tree
from bnn2hw.plan.shallow import shallow_tree
from bnn2hw.plan.spanning import bottlenecks, eligible_edges, hop_bounds, prim
from bnn2hw.plan.tree import SpanningTree
from tests.plan.strategies import dense, random_bits, vector

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)
FEW = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def distances(draw: st.DrawFn, most: int = 6) -> NDArray[np.int32]:
    """Draw a symmetric matrix with many ties and a zero diagonal."""
    count = draw(st.integers(2, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    matrix = random.integers(1, draw(st.integers(2, 5)), (count, count))
    upper = np.triu(matrix, 1)
    return (upper + upper.T).astype(np.int32)


def weight(distance: NDArray[np.int32], parent: NDArray[np.int32]) -> int:
    child = np.flatnonzero(parent >= 0)
    return int(distance[child, parent[child]].sum())


def levels(parent: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the level of each vertex; fail where the parents are no tree."""
    level = np.where(parent < 0, 0, -1)
    assert np.count_nonzero(parent < 0) == 1
    for _ in range(len(parent)):
        level = np.where((level < 0) & (level[parent] >= 0), level[parent] + 1, level)
    assert (level >= 0).all()
    return level


@cache
def all_trees(count: int) -> NDArray[np.int64]:
    """Return the edges (trees, count - 1, 2) of all trees on some vertices."""
    if count == 2:
        return np.array([[[0, 1]]])
    codes = product(range(count), repeat=count - 2)
    trees = [networkx.from_prufer_sequence(list(code)).edges for code in codes]
    return np.sort(np.array([list(edges) for edges in trees]), axis=2)


@cache
def all_hops(count: int) -> NDArray[np.int64]:
    """Return the edges between any two vertices in all trees, (trees, count, count)."""
    hops = np.full((len(all_trees(count)), count, count), count)
    row = np.arange(len(hops))[:, None]
    one, two = all_trees(count)[:, :, 0], all_trees(count)[:, :, 1]
    hops[row, one, two] = hops[row, two, one] = 1
    hops[:, range(count), range(count)] = 0
    for k in range(count):
        hops = np.minimum(hops, hops[:, :, k, None] + hops[:, None, k, :])
    return hops


def all_weights(distance: NDArray[np.int32]) -> NDArray[np.int64]:
    trees = all_trees(len(distance))
    weights: NDArray[np.int64] = distance[trees[:, :, 0], trees[:, :, 1]].sum(axis=1)
    return weights


@EXAMPLES
@given(distances())
def test_what_minimum_spanning_trees_have_in_common(distance: NDArray[np.int32]) -> None:
    count, trees, weights = len(distance), all_trees(len(distance)), all_weights(distance)
    least = weights == weights.min()
    edges = eligible_edges(distance, prim(distance, 0))
    found = {tuple(edge) for ends in edges.ends for edge in ends.tolist()}
    assert found == {tuple(edge) for edge in trees[least].reshape(-1, 2).tolist()}
    hops = all_hops(count)[least]
    # one pair alone can always have the path of the bound
    assert np.array_equal(hop_bounds(count, edges), hops.min(axis=0))


@EXAMPLES
@given(distances())
def test_shallow_tree_is_the_least_deep_of_all(distance: NDArray[np.int32]) -> None:
    weights = all_weights(distance)
    least = all_hops(len(distance))[weights == weights.min()]
    depth = int(least.max(axis=2).min(axis=1).min())
    tree = shallow_tree(distance)
    assert weight(distance, tree.parent) == weights.min()
    assert tree.depth == levels(tree.parent).max()
    assert tree.bound <= depth <= tree.depth
    # on graphs as small as these the search finds the best
    assert tree.depth == depth


@EXAMPLES
@given(distances(), st.integers(1, 5))
def test_bounded_tree_is_the_lightest_of_all(distance: NDArray[np.int32], depth: int) -> None:
    shallow = all_hops(len(distance)).max(axis=2).min(axis=1) <= depth
    parent = bounded_tree(distance, depth, 0)
    assert levels(parent).max() <= depth
    assert weight(distance, parent) == all_weights(distance)[shallow].min()


@EXAMPLES
@given(distances(most=30), st.integers(0, 29))
def test_trees_are_minimal_by_networkx(distance: NDArray[np.int32], root: int) -> None:
    expected = networkx.minimum_spanning_tree(networkx.from_numpy_array(distance)).size("weight")
    assert weight(distance, prim(distance, root % len(distance))) == expected
    tree = shallow_tree(distance)
    assert weight(distance, tree.parent) == expected
    assert levels(tree.parent).max() == tree.depth >= tree.bound


@FEW
@given(distances(most=30), st.integers(1, 8))
def test_depth_is_never_above_its_bound(distance: NDArray[np.int32], depth: int) -> None:
    parent = bounded_tree(distance, depth, len(distance) - 1)
    assert levels(parent).max() <= depth
    assert weight(distance, parent) >= weight(distance, prim(distance, 0))


def test_bottleneck_is_the_heaviest_edge_of_the_path() -> None:
    distance = np.array([[0, 3, 9, 9], [3, 0, 5, 9], [9, 5, 0, 2], [9, 9, 2, 0]], dtype=np.int32)
    expected = [[0, 3, 5, 5], [3, 0, 5, 5], [5, 5, 0, 2], [5, 5, 2, 0]]
    assert bottlenecks(distance, prim(distance, 2)).tolist() == expected


def test_bound_stays_a_bound_where_it_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    distance = np.minimum(random_distances(40), 9)
    edges = eligible_edges(distance, prim(distance, 0))
    exact = hop_bounds(40, edges)
    monkeypatch.setattr("bnn2hw.plan.spanning._PIVOT_BUDGET", 100)
    short = hop_bounds(40, edges)
    assert (short <= exact).all()
    assert (short < exact).any()


def random_distances(count: int) -> NDArray[np.int32]:
    rows = 2 * random_bits(count, 24).astype(np.int32) - 1
    apart: NDArray[np.int32] = 1 - np.eye(count, dtype=np.int32)
    distance: NDArray[np.int32] = np.maximum((24 - rows @ rows.T) // 2, apart)
    return distance


@EXAMPLES
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_level_search_knows_what_moves_cost(seed: int, depth: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(3, 14))
    matrix = np.triu(random.integers(1, 9, (count, count)), 1)
    distance = (matrix + matrix.T).astype(np.int32)
    state = random.integers(1, depth + 1, count)
    state[random.integers(count)] = 0
    search = _LevelSearch(distance, depth, state)
    for _ in range(6):
        changes = search.changes()
        for vertex, level in product(range(count), range(1, depth + 1)):
            moved = search.levels.copy()
            moved[vertex] = level
            if search.levels[vertex] in (0, level):
                assert changes[vertex, level - 1] >= _NEVER
                continue
            fresh = _LevelSearch(distance, depth, moved)
            assert changes[vertex, level - 1] == fresh.weight - search.weight
        vertex = int(random.choice(np.flatnonzero(search.levels > 0)))
        search.move(vertex, int(random.integers(1, depth + 1)))
        assert search.weight == _LevelSearch(distance, depth, search.levels).weight


def test_tree_is_a_networkx_graph() -> None:
    weights = random_bits(20, 30, seed=1)
    weights = np.concatenate([weights, 1 - weights[:3], weights[5:6]])
    plan = plan_layer(dense(weights), vector(30), "mst")
    tree = plan.tree
    assert tree is not None
    graph = tree.graph()
    assert networkx.is_arborescence(graph)
    assert list(graph) == tree.channels.tolist()
    assert all(list(graph).index(a) < list(graph).index(b) for a, b in graph.edges)
    assert graph.size("distance") == tree.weight == tree.total - 30
    assert max(level for _, level in graph.nodes(data="level")) == tree.depth
    assert (graph.graph["total"], graph.graph["depth"]) == (tree.total, tree.depth)
    signs = 2 * weights.astype(int) - 1
    for parent, child, edge in graph.edges(data=True):
        one = -signs[parent] if edge["inverted"] else signs[parent]
        assert edge["distance"] == np.count_nonzero(one != signs[child])
        steps = graph.nodes[child]["level"] - graph.nodes[parent]["level"]
        assert steps == (edge["distance"] > 0)


def test_free_edges_add_no_depth() -> None:
    tree = SpanningTree(
        np.array([4, 1, 2, 0], dtype=np.int32),
        np.array([-1, 4, 1, 2], dtype=np.int32),
        np.array([9, 0, 3, 0], dtype=np.int32),
        np.zeros(4, dtype=np.bool_),
    )
    assert tree.levels.tolist() == [0, 0, 1, 1]
    assert (tree.depth, tree.total, tree.weight) == (1, 12, 3)


def test_same_layer_same_tree() -> None:
    layer = dense(random_bits(40, 16, seed=5))
    for depth in (None, 3):
        one, two = (plan_layer(layer, vector(16), "mst", max_depth=depth) for _ in range(2))
        assert one.graph == two.graph


def test_depth_bounds_cost_less_and_less() -> None:
    layer = dense(random_bits(48, 96, seed=2))
    plans = [plan_layer(layer, vector(96), "mst", max_depth=h) for h in (1, 2, 3, 4, None)]
    totals = [plan.tree.total for plan in plans if plan.tree is not None]
    assert all(one > two for one, two in pairwise(totals))
    assert [plan.tree.depth for plan in plans[:4] if plan.tree is not None] == [1, 2, 3, 4]


def test_grouped_layers_have_the_bound_of_their_deepest_group() -> None:
    weights = random_bits(40, 3 * 3 * 4, seed=7).reshape(40, 3, 3, 4)
    layer = BinaryConv("layer", ("input",), weights=weights, groups=2)
    source = Tensor((8, 8, 8), BIPOLAR)
    tree = plan_layer(layer, source, "mst").tree
    assert tree is not None
    parts = [plan_layer(dense(w.reshape(20, -1)), vector(36), "mst").tree for w in (
        weights[:20], weights[20:])]  # fmt: skip
    assert tree.depth_bound == max(part.depth_bound for part in parts if part is not None)
    assert tree.total == sum(part.total for part in parts if part is not None)
    bounded = plan_layer(layer, source, "mst", max_depth=2).tree
    assert bounded is not None and bounded.depth == 2
