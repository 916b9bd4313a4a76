"""Yosys on a build directory, and what its reports say."""

from .layer import synthesise
from .network import NetworkSynthesis, synthesise_network
from .place import DEVICES, Placement, place_and_route
from .run import SynthesisResult, check_targets

__all__ = [
    "DEVICES",
    "NetworkSynthesis",
    "Placement",
    "SynthesisResult",
    "check_targets",
    "place_and_route",
    "synthesise",
    "synthesise_network",
]
