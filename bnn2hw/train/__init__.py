"""Training of networks that the hardware likes; needs PyTorch (the extra ``train``).

Nothing here is loaded by ``import bnn2hw``. Tensors are NCHW as in PyTorch; the export turns
them to the (y, x, channel) order of the model.
"""
