"""The network as integers: layers, formats, thresholds, and the model file."""

from .formats import BIPOLAR, Bipolar, Format, Integer, Tensor
from .layers import Argmax, BinaryConv, BinaryDense, Binarize, Layer, LinearLayer, MaxPool
from .network import Network, Samples
from .threshold import Threshold

__all__ = [
    "BIPOLAR",
    "Argmax",
    "BinaryConv",
    "BinaryDense",
    "Binarize",
    "Bipolar",
    "Format",
    "Integer",
    "Layer",
    "LinearLayer",
    "MaxPool",
    "Network",
    "Samples",
    "Tensor",
    "Threshold",
]
