"""Frames as packets of bytes, for links that lose some: delimiters, numbers, checksums.

Packets are those of RFC 1055 (SLIP): bytes between two ends, where the codes for end and escape
travel as two bytes. Both kinds begin with a number and end with a checksum, CRC-16/IBM-3740, high
byte first; ``docs/host.md`` holds the whole of it.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.wiring import In, Out

from .uart import LINE_BYTE

__all__ = ["RECORD", "PacketReceiver", "PacketSender"]

_END, _ESCAPE, _ESCAPED_END, _ESCAPED_ESCAPE = 0xC0, 0xDB, 0xDC, 0xDD

# What is known of a packet when it ends: its number, and its faults as bits of the status.
RECORD = data.StructLayout({"number": 8, "status": 8})


class PacketReceiver(wiring.Component):
    """Packets to frames of beats; each packet that holds data gives one frame and one record.

    The data of a packet is what stands between its number and its checksum. The frame ends where
    the packet does, whatever its length. A byte of a fault is dropped, and the packet that ends
    next bears it.

    Parameters
    ----------
    size
        Bytes of a beat.

    Members
    -------
    i : stream of :data:`~bnn2hw.gateware.uart.LINE_BYTE`
    o : stream of ``data`` and ``last``
    record : stream of :data:`RECORD`, one with each last beat; its ready must stay until a record
        is taken, as that of a queue does
    """

    def __init__(self, size: int) -> None:
        self._size = size
        beat = data.StructLayout({"data": unsigned(8 * size), "last": unsigned(1)})
        super().__init__(
            {
                "i": In(stream.Signature(LINE_BYTE)),
                "o": Out(stream.Signature(beat)),
                "record": Out(stream.Signature(RECORD)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return what undoes the escapes, the two bytes that may be the checksum, and the beat."""
        m = Module()
        m.submodules.checksum = checksum = crc.Processor(crc.catalog.CRC16_IBM_3740())
        taken, ends, is_byte = Signal(), Signal(), Signal()
        escaped = Signal()
        value = Signal(8)
        framing, overrun = Signal(), Signal()
        m.d.comb += [
            ends.eq(~self.i.p.framing & (self.i.p.data == _END)),
            is_byte.eq(~self.i.p.framing & ~ends & (escaped | (self.i.p.data != _ESCAPE))),
            value.eq(self.i.p.data),
        ]
        with m.If(escaped & (self.i.p.data == _ESCAPED_END)):
            m.d.comb += value.eq(_END)
        with m.If(escaped & (self.i.p.data == _ESCAPED_ESCAPE)):
            m.d.comb += value.eq(_ESCAPE)

        # The last two bytes are the checksum, so bytes come out of two that wait; then the number.
        late = [Signal(8, name=f"late{k}") for k in range(2)]
        waiting = Signal(range(3))
        number, numbered = Signal(8), Signal()
        beat = [Signal(8, name=f"beat{k}") for k in range(self._size)]
        filled = Signal(range(self._size + 1))
        is_data, gives, full = Signal(), Signal(), Signal()
        m.d.comb += [
            full.eq(filled == self._size),
            is_data.eq(is_byte & (waiting == 2) & numbered),
            gives.eq(self.i.valid & ((is_data & full) | (ends & (filled != 0)))),
            self.o.p.data.eq(Cat(beat)),
            self.o.p.last.eq(ends),
            # Beat and record go together or not at all.
            self.o.valid.eq(gives & (~ends | self.record.ready)),
            self.record.valid.eq(gives & ends & self.o.ready),
            self.record.p.number.eq(number),
            self.record.p.status.eq(
                Cat(0, 0, ~full, ~checksum.match_detected, framing, overrun | self.i.p.overrun)
            ),
            self.i.ready.eq(~gives | (self.o.ready & (~ends | self.record.ready))),
            taken.eq(self.i.valid & self.i.ready),
            checksum.data.eq(value),
            checksum.valid.eq(taken & is_byte),
            checksum.start.eq(taken & ends),
        ]
        with m.If(taken):
            m.d.sync += [
                escaped.eq(~self.i.p.framing & ~escaped & (self.i.p.data == _ESCAPE)),
                framing.eq(~ends & (framing | self.i.p.framing)),
                overrun.eq(~ends & (overrun | self.i.p.overrun)),
            ]
            with m.If(ends):
                m.d.sync += [waiting.eq(0), numbered.eq(0), filled.eq(0)]
            with m.Elif(is_byte):
                m.d.sync += [late[0].eq(late[1]), late[1].eq(value)]
                with m.If(waiting != 2):
                    m.d.sync += waiting.eq(waiting + 1)
                with m.Elif(~numbered):
                    m.d.sync += [number.eq(late[0]), numbered.eq(1)]
                with m.Else():
                    place = Mux(full, 0, filled)
                    m.d.sync += [Array(beat)[place].eq(late[0]), filled.eq(place + 1)]
        return m


class PacketSender(wiring.Component):
    """Answers to packets: number and status of the record, the beats, the checksum.

    Parameters
    ----------
    size
        Bytes of a beat.

    Members
    -------
    i : stream of ``data``, ``last`` and ``user``, the faults that the network found, which are
        the lowest two bits of the status
    record : stream of :data:`RECORD`, one for each answer
    o : stream of ``unsigned(8)``
    """

    def __init__(self, size: int) -> None:
        self._size = size
        beat = data.StructLayout({"data": unsigned(8 * size), "last": 1, "user": 2})
        super().__init__(
            {
                "i": In(stream.Signature(beat)),
                "record": In(stream.Signature(RECORD)),
                "o": Out(stream.Signature(unsigned(8))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the place in the packet, and what escapes its bytes."""
        m = Module()
        m.submodules.checksum = checksum = crc.Processor(crc.catalog.CRC16_IBM_3740())
        raw = Signal(8)
        end, special, escaped, goes = Signal(), Signal(), Signal(), Signal()
        place = Signal(range(self._size))
        last_byte = place == self._size - 1
        m.d.comb += [
            special.eq(~end & ((raw == _END) | (raw == _ESCAPE))),
            goes.eq(self.o.valid & self.o.ready & (~special | escaped)),
            self.o.payload.eq(raw),
            checksum.data.eq(raw),
        ]
        with m.If(special):
            code = Mux(raw == _END, _ESCAPED_END, _ESCAPED_ESCAPE)
            m.d.comb += self.o.payload.eq(Mux(escaped, code, _ESCAPE))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += escaped.eq(special & ~escaped)
        with m.FSM():
            with m.State("START"):
                m.d.comb += [
                    raw.eq(_END),
                    end.eq(1),
                    self.o.valid.eq(self.i.valid & self.record.valid),
                    checksum.start.eq(1),
                ]
                with m.If(goes):
                    m.next = "NUMBER"
            with m.State("NUMBER"):
                m.d.comb += [raw.eq(self.record.p.number), self.o.valid.eq(1)]
                m.d.comb += checksum.valid.eq(goes)
                with m.If(goes):
                    m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [
                    raw.eq(self.record.p.status | self.i.p.user),
                    # A frame whose answer has several beats keeps its faults for all of them.
                    self.o.valid.eq(self.i.valid),
                    self.record.ready.eq(goes),
                    checksum.valid.eq(goes),
                ]
                with m.If(goes):
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [
                    raw.eq(self.i.p.data.word_select(place, 8)),
                    self.o.valid.eq(self.i.valid),
                    self.i.ready.eq(goes & last_byte),
                    checksum.valid.eq(goes),
                ]
                with m.If(goes):
                    m.d.sync += place.eq(Mux(last_byte, 0, place + 1))
                    with m.If(last_byte & self.i.p.last):
                        m.next = "HIGH"
            for state, byte, after in (
                ("HIGH", checksum.crc[8:], "LOW"),
                ("LOW", checksum.crc[:8], "END"),
            ):
                with m.State(state):
                    m.d.comb += [raw.eq(byte), self.o.valid.eq(1)]
                    with m.If(goes):
                        m.next = after
            with m.State("END"):
                m.d.comb += [raw.eq(_END), end.eq(1), self.o.valid.eq(1)]
                with m.If(goes):
                    m.next = "START"
        return m
