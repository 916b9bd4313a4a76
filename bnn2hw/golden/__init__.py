"""The golden model: the meaning of every layer, in numpy, on whole images and on single patches.

It knows the model alone, neither plans nor hardware. Images and patches take different ways to
the same sums, so that each checks the other: an image is padded with true zeros and convolved
tap by tap, while a patch is one vector with a border class and meets the whole matrix.
"""

from .images import accuracy, predict, run
from .patch import layer_outputs, layer_sums, patches

__all__ = ["accuracy", "layer_outputs", "layer_sums", "patches", "predict", "run"]
