"""Yosys on a build directory, and what its reports say."""

from .place import DEVICES, Placement, place_and_route
from .run import SynthesisResult, synthesise

__all__ = ["DEVICES", "Placement", "SynthesisResult", "place_and_route", "synthesise"]
