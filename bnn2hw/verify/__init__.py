"""Simulation of a build directory, compared with the golden model bit for bit."""

from .runner import SimulationResult, simulate
from .vectors import make_vectors

__all__ = ["SimulationResult", "make_vectors", "simulate"]
