"""A network with its link on the pins of a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

__all__ = ["BoardTop"]

# The pins of a stream, in their order.
_STREAM = (
    ("i_data", 8, "i"), ("o_data", 8, "o"), ("i_valid", 1, "i"), ("i_ready", 1, "o"),
    ("o_valid", 1, "o"), ("o_ready", 1, "i"), ("clock", 1, "o"),
)  # fmt: skip


class BoardTop(Elaboratable):
    """What a platform of Amaranth makes a design of: clock, buffers of pins, and the network.

    Parameters
    ----------
    top
        Name of the module that holds the network and its link.
    uart
        Whether the link is the UART of the board; else its streams are on the pins.
    divide
        Cycles of the board's clock in one of the network's: 1 or an even number.
    pins, attributes
        Of the connectors of the board, for a stream.
    """

    def __init__(
        self,
        top: str,
        *,
        uart: bool,
        divide: int,
        pins: Sequence[str],
        attributes: Mapping[str, str],
    ) -> None:
        self._top, self._uart, self._divide = top, uart, divide
        self._pins, self._attributes = pins, attributes

    def elaborate(self, platform: Any) -> Module:
        """Return clock, buffers and the instance of the module."""
        m = Module()
        domain = self._clock(m, platform)
        joined = {"i_clk": ClockSignal(domain), "i_rst": ResetSignal(domain, allow_reset_less=True)}
        if self._uart:
            ports = platform.request("uart", 0, dir="-")
            signals = [("rx", "i", "i_rx"), ("tx", "o", "o_tx")]
        else:
            platform.add_resources([self._stream()])
            ports = platform.request("stream", 0, dir="-")
            signals = [(name, way, f"{way}_{name}") for name, _, way in _STREAM]
        for name, way, port in signals:
            m.submodules[name] = buffer = io.Buffer(way, getattr(ports, name))
            if name == "clock":
                m.d.comb += buffer.o.eq(ClockSignal(domain))
            else:
                joined[port] = getattr(buffer, way)
        m.submodules.host = Instance(self._top, **joined)
        return m

    def _clock(self, m: Module, platform: Any) -> str:
        """Return the domain of the network, made of the board's clock."""
        if self._divide == 1:
            return "sync"
        half = self._divide // 2
        clock = Signal()
        count = Signal(range(half))
        m.d.sync += count.eq(count + 1)
        with m.If(count == half - 1):
            m.d.sync += [count.eq(0), clock.eq(~clock)]
        # ECP5 resets by its configuration alone.
        reset = ResetSignal("sync", allow_reset_less=True)
        m.domains += ClockDomain("divided")
        m.d.comb += ClockSignal("divided").eq(clock)
        m.submodules.reset = ResetSynchronizer(reset, domain="divided")
        platform.add_clock_constraint(clock, platform.default_clk_frequency / self._divide)
        return "divided"

    def _stream(self) -> Resource:
        """Return the resource of a plain stream."""
        signals, start = [], 0
        for name, width, way in _STREAM:
            pins = " ".join(self._pins[start : start + width])
            signals.append(Subsignal(name, Pins(pins, dir=way)))
            start += width
        return Resource("stream", 0, *signals, Attrs(**self._attributes))
