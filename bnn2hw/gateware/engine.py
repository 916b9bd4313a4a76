"""The sequential engine: one layer, its weights in memories, walked through step by step."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ..plan.engine_program import EngineProgram
from .engine_delta import DeltaAccumulators, DeltaWalk
from .engine_lanes import Accumulators, SelectLanes, Thresholds, XnorLanes
from .engine_load import Loader
from .engine_memory import WeightStream
from .engine_table import KernelTables, WordBanks
from .engine_word import word_layout

__all__ = ["SequentialEngine"]


class SequentialEngine(wiring.Component):
    """A layer in the sequential style, after the schedule of :mod:`bnn2hw.plan.engine`.

    Input words come block by block, in a block word by word, and within a word pixel by pixel.
    Output words come block by block, in a block group by group, and within a group pixel by
    pixel; lane k of group g is channel ``g * lanes + k``, and lanes beyond the channels give 0. In
    mode ``delta`` the plan says which channel it is.

    The lanes advance together, whenever the output is free or taken: no path through logic leads
    from ``i`` to ``o``, and a waiting word does not change. Tables go on to be filled meanwhile.

    Parameters
    ----------
    program
        Sizes, and what the memories hold.
    loadable
        Whether there is a port to load the memories, which hold zeros then: the engine waits
        until it has been loaded once, and takes no input while it is loaded again.

    Members
    -------
    i : stream of :func:`.word_layout`
    o : stream of ``unsigned(lanes)``, or of ``ArrayLayout(signed(sum_width), lanes)`` where the
        layer gives sums; lane 0 at the LSB
    load : stream of ``unsigned(LOAD_WIDTH)``, where it is loadable (see :mod:`.engine_load`)
    """

    def __init__(self, program: EngineProgram, *, loadable: bool = False) -> None:
        program = program.blank() if loadable else program
        self.program, self.loadable = program, loadable
        word = (
            unsigned(program.lanes)
            if program.thresholds
            else data.ArrayLayout(signed(program.sum_width), program.lanes)
        )
        self._weights = WeightStream(
            program.word_width, program.fetch, program.weights, loadable=loadable
        )
        self._banks: KernelTables | WordBanks
        self._lanes: SelectLanes | XnorLanes
        if program.mode != "binary":
            self._banks = KernelTables(program, loadable=loadable)
            self._lanes = SelectLanes(program)
        else:
            self._banks, self._lanes = WordBanks(program), XnorLanes(program)
        self._thresholds = Thresholds(program, loadable=loadable) if program.thresholds else None
        sizes = [(width, len(words)) for width, words in program.memories.values()]
        members = {
            "i": In(stream.Signature(word_layout(program))),
            "o": Out(stream.Signature(word)),
        }
        if loadable:
            self._loader = Loader(sizes)
            members["load"] = In(self._loader.load.signature.flip())
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Return banks, weights, lanes and accumulators, and the steps through them."""
        m = Module()
        program = self.program
        m.submodules.banks = banks = self._banks
        m.submodules.weights = weights = self._weights
        m.submodules.lanes = lanes = self._lanes
        run = self._run(m)
        advance, step, ready = Signal(), Signal(), Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            step.eq(banks.full & ready & advance),
            banks.i.payload.eq(self.i.payload),
            banks.i.valid.eq(self.i.valid & run),
            self.i.ready.eq(banks.i.ready & run),
            weights.run.eq(run),
        ]
        walk: _Walk | DeltaWalk
        if program.mode == "delta":
            ends = weights.weights[program.lanes * program.weight_bits]
            walk = DeltaWalk(m, program, step, ends)
        else:
            walk = _Walk(m, program, step)
        m.d.comb += [
            ready.eq(weights.valid | walk.reading),
            weights.use.eq(step & ~walk.reading),
        ]
        m.d.comb += [
            banks.pixel.eq(walk.pixel),
            banks.release.eq(step & walk.item_ends),
            weights.take.eq(weights.use & walk.group_ends),
            lanes.bank.eq(banks.o),
            lanes.weights.eq(weights.weights),
            lanes.advance.eq(advance),
        ]

        # The cycle after: values of the lanes are added.
        adding, offers = Signal(), Signal()
        group = Signal.like(walk.group)
        with m.If(advance):
            m.d.sync += [adding.eq(step), offers.eq(walk.offers), group.eq(walk.group)]
        if isinstance(walk, DeltaWalk):
            complete = self._add_differences(m, walk, adding, advance)
        else:
            complete = self._add(m, walk, adding, advance)

        # The cycle after that: complete sums are offered.
        valid = Signal()
        sums = Signal(len(complete), reset_less=True)
        m.d.comb += self.o.valid.eq(valid)
        with m.If(advance):
            m.d.sync += valid.eq(adding & offers)
            with m.If(offers):
                m.d.sync += sums.eq(self._meant(complete, group))
        self._output(m, sums, group, advance)
        return m

    def _add(self, m: Module, walk: _Walk, adding: Value, advance: Value) -> Value:
        """Return the sums with the values of this cycle."""
        m.submodules.accumulators = accumulators = Accumulators(self.program)
        first, place = Signal(), Signal.like(walk.place)
        with m.If(advance):
            m.d.sync += [first.eq(walk.first_word), place.eq(walk.place)]
        m.d.comb += [
            accumulators.place_next.eq(walk.place),
            accumulators.place.eq(place),
            accumulators.write.eq(adding),
            accumulators.first.eq(first),
            accumulators.advance.eq(advance),
            accumulators.values.eq(self._lanes.o),
            accumulators.carries.eq(self._lanes.carries),
        ]
        return accumulators.o

    def _add_differences(self, m: Module, walk: DeltaWalk, adding: Value, advance: Value) -> Value:
        """Return the running sums of the group that is read; add the values of other cycles."""
        program = self.program
        m.submodules.accumulators = accumulators = DeltaAccumulators(program)
        first, fresh = Signal(), Signal()
        with m.If(advance):
            m.d.sync += [first.eq(walk.first_word), fresh.eq(walk.fresh)]
        places = [
            self._weights.weights.word_select(lane, program.weight_bits)[program.index_bits :]
            for lane in range(program.lanes)
        ]
        m.d.comb += [
            accumulators.places.eq(Cat(*places)),
            accumulators.pixel.eq(walk.pixel),
            accumulators.group.eq(walk.group),
            accumulators.reading.eq(walk.reading),
            accumulators.values.eq(self._lanes.o),
            accumulators.carries.eq(self._lanes.carries),
            accumulators.adding.eq(adding),
            accumulators.first.eq(first),
            accumulators.fresh.eq(fresh),
            accumulators.advance.eq(advance),
        ]
        return accumulators.o

    def _meant(self, sums: Value, group: Value) -> Value:
        """Return the sums with 0 in the lanes beyond the channels.

        Thresholds do that by their levels; in mode ``delta`` these lanes repeat a channel.
        """
        program = self.program
        lanes = program.outputs - (program.groups - 1) * program.lanes
        if program.thresholds or lanes == program.lanes or program.mode == "delta":
            return sums
        return Mux(group == program.groups - 1, sums[: lanes * program.sum_width], sums)

    def _output(self, m: Module, sums: Value, group: Value, advance: Value) -> None:
        """Add what makes the output word from complete sums."""
        if self._thresholds is None:
            m.d.comb += Value.cast(self.o.payload).eq(sums)
            return
        m.submodules.thresholds = thresholds = self._thresholds
        m.d.comb += [
            thresholds.group_next.eq(group),
            thresholds.advance.eq(advance),
            thresholds.sums.eq(sums),
            self.o.payload.eq(thresholds.o),
        ]

    def _run(self, m: Module) -> Value:
        """Return whether the memories are loaded; connect what loads them."""
        run = Signal(init=1)
        if not self.loadable:
            return run
        m.submodules.loader = loader = self._loader
        wiring.connect(m, load=wiring.flipped(self.load), loader=loader.load)
        m.d.comb += run.eq(loader.loaded)
        owners: dict[str, Any] = {
            "weights": self._weights,
            "subset": self._banks,
            "levels": self._thresholds,
        }
        for number, (name, (width, _)) in enumerate(self.program.memories.items()):
            memory = owners[name]
            m.d.comb += [
                memory.write.eq(loader.write & (loader.memory == number)),
                memory.write_address.eq(loader.address),
                memory.write_data.eq(loader.data[:width]),
            ]
        return run


class _Walk:
    """Where a step stands: pixel, group and word, and the place of its sums.

    Sums are offered in the last word, without a readout of their own.
    """

    def __init__(self, m: Module, program: EngineProgram, step: Value) -> None:
        self.pixel = Signal(bits_for(program.pixels - 1), name="pixel")
        self.group = Signal(bits_for(program.groups - 1), name="group")
        self.place = Signal(bits_for(program.groups * program.pixels - 1), name="place")
        word = Signal(bits_for(program.words - 1), name="word")
        self.reading = Const(0, 1)
        self.group_ends = self.pixel == program.pixels - 1
        self.item_ends = self.place == program.groups * program.pixels - 1
        self.first_word = word == 0
        self.offers = self.last_word = word == program.words - 1
        with m.If(step):
            m.d.sync += self.pixel.eq(Mux(self.group_ends, 0, self.pixel + 1))
            m.d.sync += self.place.eq(Mux(self.item_ends, 0, self.place + 1))
            with m.If(self.group_ends):
                m.d.sync += self.group.eq(Mux(self.item_ends, 0, self.group + 1))
            with m.If(self.item_ends):
                m.d.sync += word.eq(Mux(self.last_word, 0, word + 1))
