"""A layer over the bits of its patch, and the proof that a netlist computes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError
from ..model.formats import Bipolar, Tensor
from ..model.layers import LinearLayer
from .graph import Output
from .netlist import BitOutput, Netlist
from .outputs import BitReadout, Readout
from .readout import fold_readout, live_channels, single_thresholds

__all__ = ["BitForm", "bit_form", "netlist_readout", "prove_netlist"]


@dataclass(frozen=True, eq=False)
class BitForm:
    """The sums of a layer over the bits of a patch: ``y = scale * (matrix @ bits) + shift``.

    Attributes
    ----------
    matrix
        int64 (channels, bits of a patch).
    scale
        2 for bits that stand for +1 and -1, else 1.
    shift
        int64 (channels,).
    """

    matrix: NDArray[np.int64]
    scale: int
    shift: NDArray[np.int64]

    def sign(self, channel: int, form: NDArray[np.int64]) -> int:
        """Return whether a linear form is that of a channel (1), its negative (-1), or neither."""
        row = self.matrix[channel]
        return 1 if np.array_equal(form, row) else -1 if np.array_equal(form, -row) else 0


def bit_form(layer: LinearLayer, source: Tensor) -> BitForm:
    """Return the form of a layer for that input; with padded zeros, for a patch inside the map."""
    matrix = layer.matrix().astype(np.int64)
    if isinstance(source.format, Bipolar):
        return BitForm(matrix, 2, -matrix.sum(axis=1))
    places = 1 << np.arange(source.format.width, dtype=np.int64)
    if source.format.signed:
        places[-1] *= -1
    bits = (matrix[:, :, None] * places).reshape(len(matrix), -1)
    return BitForm(bits, 1, np.zeros(len(matrix), dtype=np.int64))


def prove_netlist(layer: LinearLayer, source: Tensor, netlist: Netlist) -> None:
    """Check that a netlist computes a layer: a proof for all inputs.

    Counters write the sum of what they read; each output's heap is unfolded to its linear form
    over the patch; the cells of a comparison are replayed; and a comparison's level is held
    against the layer's threshold at every sum.

    Raises
    ------
    PlanError
        If a live channel is missing, or something differs.
    """
    live = live_channels(layer, source).tolist()
    try:
        if [output.channel for output in netlist.outputs] != live:
            raise ValueError("it computes the wrong channels")
        netlist.prove_counters()
        forms = bit_form(layer, source)
        thresholds = single_thresholds(layer, source)
        lowest, highest = (bounds[0] for bounds in layer.sum_bounds(source))
        for output in netlist.outputs:
            channel = output.channel
            form, constant = netlist.linear_form(output.heap)
            sign = forms.sign(channel, form)
            if sign == 0:
                raise ValueError(f"the linear form of channel {channel} differs from the weights")
            if not isinstance(output, BitOutput):
                continue
            assert thresholds is not None
            netlist.prove_comparison(output)
            sums = np.arange(lowest[channel], highest[channel] + 1, forms.scale)
            heap = sign * (sums - forms.shift[channel]) // forms.scale + constant
            direction, level = (int(part[channel]) for part in thresholds)
            expected = direction * sums >= direction * level
            if not np.array_equal((heap >= output.level) ^ output.inverted, expected):
                raise ValueError(f"channel {channel} is compared with the wrong level")
    except ValueError as error:
        raise PlanError(
            f"the plan is not that of the weights: {error}",
            layer=layer.name,
            remedy="this is a fault of the planner: please report it",
        ) from error


def netlist_readout(layer: LinearLayer, source: Tensor, netlist: Netlist) -> Readout:
    """Return the readout of a layer whose live channels a netlist computes.

    Values are numbered as the netlist's outputs. A bit is the channel's own; sums get their sign
    and constant, thresholds of border positions and scale.
    """
    forms = bit_form(layer, source)
    negative = (layer.matrix() < 0).sum(axis=1) if forms.scale == 2 else forms.shift
    outputs = []
    for number, output in enumerate(netlist.outputs):
        form, constant = netlist.linear_form(output.heap)
        sign, channel = forms.sign(output.channel, form), output.channel
        outputs.append(Output(channel, number, sign, int(negative[channel]) - sign * constant))
    readout = fold_readout(layer, source, outputs)
    if single_thresholds(layer, source) is None:
        return readout
    assert isinstance(readout, BitReadout)
    live = readout.value >= 0
    return BitReadout(
        readout.value,
        np.where(live, 1, 0).astype(np.int8)[None],
        np.where(live, 1, readout.level[0])[None],
    )
