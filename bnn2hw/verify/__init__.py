"""Simulation of a build directory, compared with the golden model bit for bit."""

from .runner import SimulationResult, simulate
from .vectors import engine_vectors, layer_inputs, make_vectors

__all__ = ["SimulationResult", "engine_vectors", "layer_inputs", "make_vectors", "simulate"]
