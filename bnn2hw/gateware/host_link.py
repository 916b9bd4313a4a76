"""What stands between a network and its host: packets of bytes, on pins or on a UART."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import RECORD, PacketReceiver, PacketSender
from .uart import LINE_BYTE, UartReceiver, UartTransmitter
from .words import Fifo

__all__ = ["WINDOW", "ByteNetwork", "NetworkModule", "PinNetwork", "UartNetwork"]

# Frames that a host may have sent before it has the answer of the first: one comes in while the
# other is computed. The queue before the network holds so many.
WINDOW = 2


class NetworkModule(wiring.Component):
    """A network that is a module of Verilog already.

    Parameters
    ----------
    top
        Name of the module.
    ports
        Names, directions (``in`` or ``out``) and widths, with ``clk`` and ``rst``.

    Members
    -------
    Those ports, but for clock and reset, which are of the domain ``sync``.
    """

    def __init__(self, top: str, ports: Sequence[tuple[str, str, int]]) -> None:
        self._top = top
        super().__init__(
            {
                name: (In if direction == "in" else Out)(width)
                for name, direction, width in ports
                if name not in ("clk", "rst")
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return an instance of the module."""
        m = Module()
        joined = {
            f"{'i' if member.flow == In else 'o'}_{name}": getattr(self, name)
            for name, member in self.signature.members.items()
        }
        m.submodules.network = Instance(
            self._top, i_clk=ClockSignal(), i_rst=ResetSignal(), **joined
        )
        return m


class ByteNetwork(wiring.Component):
    """A network whose frames and answers are packets of bytes.

    Parameters
    ----------
    network
        A component with the ports of :class:`.AxiStreamNetwork`.
    beats
        Beats of a frame.

    Members
    -------
    i : stream of :data:`~bnn2hw.gateware.uart.LINE_BYTE`
    o : stream of ``unsigned(8)``
    """

    def __init__(self, network: wiring.Component, beats: int) -> None:
        self._network, self._beats = network, beats
        super().__init__(
            {
                "i": In(stream.Signature(LINE_BYTE)),
                "o": Out(stream.Signature(unsigned(8))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return packets, the queue of beats, the network, and the records of its frames."""
        m = Module()
        m.submodules.network = network = self._network
        bits = len(network.s_axis_tdata)
        m.submodules.receiver = receiver = PacketReceiver(bits // 8)
        m.submodules.queue = queue = Fifo(bits + 1, WINDOW * self._beats + 1)
        m.submodules.records = records = Fifo(RECORD.size, WINDOW)
        m.submodules.sender = sender = PacketSender(len(network.m_axis_tdata) // 8)
        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        m.d.comb += [
            queue.i.payload.eq(receiver.o.payload.as_value()),
            queue.i.valid.eq(receiver.o.valid),
            receiver.o.ready.eq(queue.i.ready),
            Cat(network.s_axis_tdata, network.s_axis_tlast).eq(queue.o.payload),
            network.s_axis_tvalid.eq(queue.o.valid),
            queue.o.ready.eq(network.s_axis_tready),
            records.i.payload.eq(receiver.record.payload.as_value()),
            records.i.valid.eq(receiver.record.valid),
            receiver.record.ready.eq(records.i.ready),
            sender.record.payload.as_value().eq(records.o.payload),
            sender.record.valid.eq(records.o.valid),
            records.o.ready.eq(sender.record.ready),
            sender.i.p.data.eq(network.m_axis_tdata),
            sender.i.p.last.eq(network.m_axis_tlast),
            sender.i.p.user.eq(network.m_axis_tuser),
            sender.i.valid.eq(network.m_axis_tvalid),
            network.m_axis_tready.eq(sender.i.ready),
        ]
        return m


class UartNetwork(wiring.Component):
    """A network on a UART.

    Parameters
    ----------
    network, beats
        As of :class:`ByteNetwork`.
    divisor
        Clock cycles of a bit.

    Members
    -------
    rx : ``In``, the line to the board
    tx : ``Out``, the line to the host
    """

    def __init__(self, network: wiring.Component, beats: int, divisor: int) -> None:
        self._network, self._beats, self._divisor = network, beats, divisor
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Return the two lines and the network between them."""
        m = Module()
        m.submodules.bytes = inner = ByteNetwork(self._network, self._beats)
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        wiring.connect(m, receiver.o, inner.i)
        wiring.connect(m, inner.o, transmitter.i)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        return m


class PinNetwork(wiring.Component):
    """A network on two streams of bytes on pins, that keep to the clock of the board.

    No path through logic leads from pin to pin.

    Parameters
    ----------
    network, beats
        As of :class:`ByteNetwork`.

    Members
    -------
    i_data, o_data : a byte each way
    i_valid, i_ready, o_valid, o_ready : handshakes
    """

    def __init__(self, network: wiring.Component, beats: int) -> None:
        self._network, self._beats = network, beats
        super().__init__(
            {
                "i_data": In(8),
                "i_valid": In(1),
                "i_ready": Out(1),
                "o_data": Out(8),
                "o_valid": Out(1),
                "o_ready": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the network between two queues."""
        m = Module()
        m.submodules.bytes = inner = ByteNetwork(self._network, self._beats)
        m.submodules.arriving = arriving = Fifo(8)
        m.submodules.leaving = leaving = Fifo(8)
        m.d.comb += [
            arriving.i.payload.eq(self.i_data),
            arriving.i.valid.eq(self.i_valid),
            self.i_ready.eq(arriving.i.ready),
            inner.i.p.data.eq(arriving.o.payload),
            inner.i.valid.eq(arriving.o.valid),
            arriving.o.ready.eq(inner.i.ready),
            self.o_data.eq(leaving.o.payload),
            self.o_valid.eq(leaving.o.valid),
            leaving.o.ready.eq(self.o_ready),
        ]
        wiring.connect(m, inner.o, leaving.i)
        return m
