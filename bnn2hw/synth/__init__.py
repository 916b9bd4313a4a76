"""Yosys on a build directory, and what its reports say."""

from .run import SynthesisResult, synthesise

__all__ = ["SynthesisResult", "synthesise"]
