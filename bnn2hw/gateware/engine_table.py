"""Kernel tables of the sequential engine: the subset on a word of inputs, double-buffered."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ..plan.engine_program import EngineProgram
from .engine_memory import EngineMemory
from .engine_rows import KernelUnit, LastRow, RowSums, sums_layout
from .engine_word import offset, select_tree, word_layout

__all__ = ["KernelTables", "WordBanks"]


class _Banks(wiring.Component):
    """Two banks of what the lanes read, one slot after the other for each pixel of an item.

    Members
    -------
    write : ``In(1)``, whether slots are written in this cycle; only while ``writable``
    slots : ``In(per_cycle * width)``
    writable : ``Out(1)``, whether the bank to be filled is free
    batch, batch_next : ``Out``, which slots of a pixel are written in this cycle and in the next
    last : ``Out(1)``, whether they are the pixel's last
    pixel : ``In``, of the bank that is read
    full : ``Out(1)``, whether that bank is filled
    release : ``In(1)``, whether it is read for the last time; only while ``full``
    o : ``Out(count * width)``, the slots of the pixel
    """

    def __init__(self, width: int, count: int, per_cycle: int, pixels: int) -> None:
        self._width, self._count, self._per_cycle = width, count, per_cycle
        self._batches, self._pixels = -(-count // per_cycle), pixels
        batch = bits_for(self._batches - 1)
        super().__init__(
            {
                "write": In(1),
                "slots": In(per_cycle * width),
                "writable": Out(1),
                "batch": Out(batch),
                "batch_next": Out(batch),
                "last": Out(1),
                "pixel": In(bits_for(pixels - 1)),
                "full": Out(1),
                "release": In(1),
                "o": Out(count * width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the slots, and which bank is filled and which one read."""
        m = Module()
        filling, reading, full = Signal(), Signal(), Signal(2)
        batch, pixel = Signal(self.batch.shape()), Signal(self.pixel.shape())
        m.d.comb += [
            self.writable.eq(~Mux(filling, full[1], full[0])),
            self.full.eq(Mux(reading, full[1], full[0])),
            self.batch.eq(batch),
            self.batch_next.eq(batch),
            self.last.eq(batch == self._batches - 1),
        ]
        filled = Signal()
        with m.If(self.write):
            m.d.comb += self.batch_next.eq(Mux(self.last, 0, batch + 1))
            m.d.sync += batch.eq(self.batch_next)
            with m.If(self.last):
                m.d.comb += filled.eq(pixel == self._pixels - 1)
                m.d.sync += pixel.eq(Mux(filled, 0, pixel + 1))
        m.d.sync += [
            filling.eq(filling ^ filled),
            reading.eq(reading ^ self.release),
            full.eq(
                (full | Cat(filled & ~filling, filled & filling))
                & ~Cat(self.release & ~reading, self.release & reading)
            ),
        ]

        contents = []
        for bank in range(2):
            for number in range(self._pixels):
                here = self.write & (filling == bank) & (pixel == number)
                contents.append(self._slots(m, here, f"bank{bank}_pixel{number}"))
        size = self._count * self._width
        banks = [Cat(*contents[k * self._pixels : (k + 1) * self._pixels]) for k in range(2)]
        padding = Const(0, size * ((1 << (self._pixels - 1).bit_length()) - self._pixels))
        bank = Mux(reading, Cat(banks[1], padding), Cat(banks[0], padding))
        m.d.comb += self.o.eq(select_tree(bank, self.pixel, size))
        return m

    def _slots(self, m: Module, here: Value, name: str) -> Signal:
        """Return the slots of a bank and pixel; ``here``: whether they are written."""
        slots = Signal(self._count * self._width, name=name, reset_less=True)
        for batch in range(self._batches):
            first = batch * self._per_cycle
            part = slots[first * self._width : (first + self._per_cycle) * self._width]
            with m.If(here & (self.batch == batch)):
                m.d.sync += part.eq(self.slots)
        return slots


class _ItemUnit(wiring.Component):
    """What takes input words and offers the lanes an item: the ends of both kinds of banks.

    Members
    -------
    i : stream of ``word_layout(program)``
    pixel, full, release, o : as of the banks
    """

    def __init__(self, program: EngineProgram, banks: _Banks) -> None:
        self._program, self._banks = program, banks
        ends = ("pixel", "full", "release", "o")
        super().__init__(
            {
                "i": In(stream.Signature(word_layout(program))),
                **{name: banks.signature.members[name] for name in ends},
                **self._load_members(),
            }
        )

    def _load_members(self) -> dict[str, wiring.Member]:
        return {}

    def elaborate(self, platform: object) -> Module:
        """Return the register of what is made of a word, and the banks."""
        m = Module()
        m.submodules.banks = banks = self._banks
        made = self._made(m, self.i.p)
        kept = Signal(len(made), reset_less=True)
        loaded = Signal()
        m.d.comb += [
            banks.write.eq(loaded & banks.writable),
            banks.pixel.eq(self.pixel),
            banks.release.eq(self.release),
            self.full.eq(banks.full),
            self.o.eq(banks.o),
            self.i.ready.eq(~loaded | (banks.write & banks.last)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [kept.eq(made), loaded.eq(1)]
        with m.Elif(self.i.ready):
            m.d.sync += loaded.eq(0)
        m.d.comb += banks.slots.eq(self._slots(m, kept))
        return m

    def _made(self, m: Module, word: data.View) -> Value:
        """Return what is made of a word in the cycle in which it comes."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def _slots(self, m: Module, kept: Value) -> Value:
        """Return what goes into the banks in a cycle."""
        raise TypeError(f"{type(self).__name__} is abstract")


class KernelTables(_ItemUnit):
    """The table of each pixel: the dot products of its word with all kernels of the subset.

    ``kernel_units`` of them a cycle. ``o`` holds ``entries`` signed sums without the bits
    that are known.

    Parameters
    ----------
    program
        Of the engine.
    loadable
        Whether the subset can be written: then there are ``write``, ``write_address`` and
        ``write_data``.
    """

    def __init__(self, program: EngineProgram, *, loadable: bool = False) -> None:
        self._subset = EngineMemory(
            program.kernel_units * program.unit, program.subset, loadable=loadable
        )
        self._loadable = loadable
        units = program.kernel_units
        banks = _Banks(program.slot_width, program.entries, units, program.pixels)
        super().__init__(program, banks)

    def _load_members(self) -> dict[str, wiring.Member]:
        names = ("write", "write_address", "write_data") if self._loadable else ()
        return {name: self._subset.signature.members[name] for name in names}

    def _made(self, m: Module, word: data.View) -> Value:
        m.submodules.rows = rows = RowSums(self._program)
        m.d.comb += rows.word.eq(word)
        return Cat(*(getattr(rows, name) for name in sums_layout(self._program).members))

    def _slots(self, m: Module, kept: Value) -> Value:
        layout = sums_layout(self._program)
        m.submodules.last = last = LastRow(self._program)
        for name in last.signature.members:
            if name in layout.members:
                m.d.comb += getattr(last, name).eq(data.View(layout, kept)[name])
        rows = Cat(kept[: layout["whole"].offset], *last.sums)
        m.submodules.subset = subset = self._subset
        m.d.comb += subset.address.eq(self._banks.batch_next)
        for name in self._load_members():
            m.d.comb += getattr(subset, name).eq(getattr(self, name))
        sums = []
        for k in range(self._program.kernel_units):
            m.submodules[f"kernel{k}"] = unit = KernelUnit(self._program)
            m.d.comb += [
                unit.rows.eq(rows),
                unit.kernel.eq(subset.data.word_select(k, self._program.unit)),
            ]
            sums.append(unit.o[self._program.known_bits :])
        return Cat(*sums)


class WordBanks(_ItemUnit):
    """The words themselves, each with its offset above it: what mode ``binary`` reads."""

    def __init__(self, program: EngineProgram) -> None:
        super().__init__(program, _Banks(program.slot_width, 1, 1, program.pixels))

    def _made(self, m: Module, word: data.View) -> Value:
        return Cat(word.as_value(), offset(m, self._program, word))

    def _slots(self, m: Module, kept: Value) -> Value:
        return kept
