"""Graphs of steps while they are built: nodes, edges, and the search for cycles."""
