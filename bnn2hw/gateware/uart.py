"""A UART of eight data bits, no parity and one stop bit: bytes on two wires."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import cdc, data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LINE_BYTE", "UartReceiver", "UartTransmitter"]

# A byte as it comes from a line. With framing, its stop bit was missing, so that the byte itself
# is not to be trusted; with overrun, bytes before it are lost, as nobody took them in time.
LINE_BYTE = data.StructLayout({"data": 8, "framing": 1, "overrun": 1})


class UartReceiver(wiring.Component):
    """Bytes from a line, each sampled in the middle of its bits.

    A start bit must still be low in its middle; what is shorter is noise. After a missing stop bit
    the line must be high before the next byte starts. The line cannot wait: a byte that comes
    while the last one has not been taken is lost.

    Parameters
    ----------
    divisor
        Clock cycles of a bit, 4 or more.

    Members
    -------
    rx : ``In``, the line, high where nothing is sent; any clock
    o : stream of :data:`LINE_BYTE`
    """

    def __init__(self, divisor: int) -> None:
        assert divisor >= 4
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(LINE_BYTE))})

    def elaborate(self, platform: object) -> Module:
        """Return the synchroniser, the timer, and the state of the byte."""
        m = Module()
        line = Signal(init=1)
        m.submodules.line = cdc.FFSynchronizer(self.rx, line, init=1)
        timer = Signal(range(self._divisor))
        bits = Signal(range(8))
        word = Signal(8)
        lost = Signal()
        sample = Signal()
        m.d.comb += sample.eq(timer == 0)
        m.d.sync += timer.eq(Mux(sample, self._divisor - 1, timer - 1))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += timer.eq(self._divisor // 2 - 1)
                with m.If(~line):
                    m.next = "START"
            with m.State("START"), m.If(sample):
                m.d.sync += bits.eq(0)
                m.next = "IDLE"
                with m.If(~line):
                    m.next = "DATA"
            with m.State("DATA"), m.If(sample):
                m.d.sync += [word.eq(Cat(word[1:], line)), bits.eq(bits + 1)]
                with m.If(bits == 7):
                    m.next = "STOP"
            with m.State("STOP"), m.If(sample):
                with m.If(self.o.valid & ~self.o.ready):
                    m.d.sync += lost.eq(1)
                with m.Else():
                    m.d.sync += [
                        self.o.valid.eq(1),
                        self.o.p.data.eq(word),
                        self.o.p.framing.eq(~line),
                        self.o.p.overrun.eq(lost),
                        lost.eq(0),
                    ]
                m.next = "IDLE"
                with m.If(~line):
                    m.next = "BREAK"
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a line, back to back.

    Parameters
    ----------
    divisor
        Clock cycles of a bit.

    Members
    -------
    i : stream of ``unsigned(8)``
    tx : ``Out``, the line, high where nothing is sent
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(unsigned(8))), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Return the timer, the shift register, and the bits left in it."""
        m = Module()
        timer = Signal(range(self._divisor))
        # The line is the lowest bit: ones follow the byte, the first of them the stop bit.
        shift = Signal(9, init=-1)
        left = Signal(range(11))
        m.d.comb += [self.tx.eq(shift[0]), self.i.ready.eq(left == 0)]
        with m.If(left == 0), m.If(self.i.valid):
            m.d.sync += [
                shift.eq(Cat(0, self.i.payload)),
                left.eq(10),
                timer.eq(self._divisor - 1),
            ]
        with m.Elif(timer == 0):
            m.d.sync += [
                shift.eq(Cat(shift[1:], 1)),
                left.eq(left - 1),
                timer.eq(self._divisor - 1),
            ]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
