"""Amaranth components of the spatial style: weights are wires, one patch a cycle."""
