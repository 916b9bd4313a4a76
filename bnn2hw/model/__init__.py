"""The network as integers: layers, formats, thresholds, and the model file."""

from .codebook import Codebook
from .file import load, save
from .formats import BIPOLAR, Bipolar, Format, Integer, Tensor
from .groups import BaseGroup
from .layers import BinaryConv, BinaryDense, Layer, LinearLayer
from .network import Network, Samples
from .rounding import Rounding, roundings
from .streams import (
    Affine,
    Argmax,
    Binarize,
    ChannelArgmax,
    MaxPool,
    Quantize,
    SumPool,
    Upsample,
)
from .threshold import Threshold

__all__ = [
    "BIPOLAR",
    "Affine",
    "Argmax",
    "BaseGroup",
    "Binarize",
    "BinaryConv",
    "BinaryDense",
    "Bipolar",
    "ChannelArgmax",
    "Codebook",
    "Format",
    "Integer",
    "Layer",
    "LinearLayer",
    "MaxPool",
    "Network",
    "Quantize",
    "Rounding",
    "Samples",
    "SumPool",
    "Tensor",
    "Threshold",
    "Upsample",
    "load",
    "roundings",
    "save",
]
