"""Searches for cycles with networkx. Loaded only when a graph has forward dependencies."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx


def find_cycle(edges: Iterable[tuple[str, str]]) -> list[str] | None:
    """The steps on one cycle of `(step, needs)` edges, in order, or None."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from(edges)
    try:
        found = nx.find_cycle(graph)
    except nx.NetworkXNoCycle:
        return None
    return [edge[0] for edge in found]
