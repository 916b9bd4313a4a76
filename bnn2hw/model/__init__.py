"""The network as integers: layers, formats, thresholds, and the model file."""

from .file import load, save
from .formats import BIPOLAR, Bipolar, Format, Integer, Tensor
from .layers import Argmax, Binarize, BinaryConv, BinaryDense, Layer, LinearLayer, MaxPool
from .network import Network, Samples
from .threshold import Threshold

__all__ = [
    "BIPOLAR",
    "Argmax",
    "Binarize",
    "BinaryConv",
    "BinaryDense",
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
    "load",
    "save",
]
