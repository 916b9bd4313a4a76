"""Broken gateware: copies of the package in which one line is wrong."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import bnn2hw.errors
import bnn2hw.plan.engine_program
import bnn2hw.plan.graph
import bnn2hw.plan.netlist
import bnn2hw.plan.netlist_parts
import bnn2hw.plan.outputs
from bnn2hw import gateware

SOURCE = Path(gateware.__file__).parent

# name: (file, right text, wrong text)
MUTANTS = {
    "ignores_back_pressure": ("pipeline", "~sink.valid | sink.ready", "1"),
    "waits_for_ready_alone": ("pipeline", "~sink.valid | sink.ready", "sink.ready"),
    "output_changes_while_stalled": ("threshold", "with m.If(advance):", "with m.If(1):"),
    "stage_goes_on_while_stalled": ("pipeline",
                                    "with m.If(advance):\n            m.d.sync += register.eq",
                                    "with m.If(1):\n            m.d.sync += register.eq"),
    "delay_goes_on_while_stalled": ("pipeline", "with self.delays.If(self._advance):",
                                    "with self.delays.If(1):"),
    "gaps_become_words": ("pipeline", "Cat(valid, there)", "Cat(1, there)"),
    "latency_short_by_one": ("pipeline", "there[-1]", "there[max(latency - 2, 0)]"),
    "carry_swapped": ("compressor", "(a & b) | (half & c)", "(a & c) | (half & b)"),
    "sum_without_third": ("compressor", '_signal(half ^ c, "sum")', '_signal(half, "sum")'),
    "columns_mixed": ("compressor", "return [ones, twos, fours]", "return [ones, fours, twos]"),
    "registers_counted_from_the_input": ("compressor", "pipeline.registers(level, after)",
                                         "pipeline.registers(0, after)"),
    "weight_inverted": ("popcount", "equal.eq(~(", "equal.eq(("),
    "sum_has_wrong_sign": ("sums", "self.parent - twice if self._subtract",
                           "self.parent + twice if self._subtract"),
    "part_not_doubled": ("sums", "self.part << 1", "self.part << 0"),
    "term_has_wrong_sign": ("sums", "top if self.sign > 0 else magnitude ^ top", "top"),
    "correction_forgotten": ("sums", "constant += sum(term.correction for term in terms)",
                             "constant += 0"),
    "threshold_off_by_one": ("threshold", "value >= constant if", "value > constant if"),
    "threshold_wrong_way": ("threshold", "constant if facing > 0", "constant if facing"),
    "constant_class_forgotten": ("threshold", "else always if chosen else never", "else chosen"),
    "border_ignored": ("threshold", "wire.eq(border == k)", "wire.eq(k == 0)"),
    "border_not_delayed": ("core", "wires.at(border, self._pipeline.stage(self.level))",
                           "self.i.p.border"),
    "offset_has_wrong_sign": ("threshold", "constant + doubled if", "doubled - constant if"),
    "sum_not_doubled": ("threshold", "value << 1 if abs(scale) == 2", "value if abs(scale) == 2"),
    "element_unsigned": ("core", "Shape(element_width, element_signed)",
                         "Shape(element_width, False)"),
}  # fmt: skip

ENGINE_MUTANTS = {
    "stale_table_half": ("engine_table", "Mux(reading, Cat", "Mux(~reading, Cat"),
    "table_overwritten_while_read": ("engine_table", "writable.eq(~Mux(filling, full[1], full[0]))",
                                     "writable.eq(1)"),
    "table_read_before_it_is_full": ("engine_table", "self.full.eq(Mux(reading, full[1], full[0]))",
                                     "self.full.eq(1)"),
    "table_of_the_other_pixel": ("engine_table", "& (pixel == number)", "& (pixel != number)"),
    "subset_one_batch_late": ("engine_table", "address.eq(self._banks.batch_next)",
                              "address.eq(self._banks.batch)"),
    "padding_counts": ("engine_word", "agree &= self.word.valid", "agree &= ~0"),
    "padded_offset_has_wrong_sign": ("engine_word", "(part << 1) + self.offset",
                                     "(part << 1) - self.offset"),
    "padding_counts_in_tables": ("engine_word", "word.valid if program.masked",
                                 "Const(-1, program.unit) if program.masked"),
    "row_sum_has_wrong_sign": ("engine_rows", "- (element << 1)", "+ (element << 1)"),
    "row_sum_of_other_elements": ("engine_rows", "sums[rest] + row[top] if rest",
                                  "sums[rest] + row[0] if rest"),
    "totals_of_rows_forgotten": ("engine_rows", "whole - reduce(add, totals)", "whole - totals[0]"),
    "rows_not_doubled": ("engine_rows", "reduce(add, others) << 1", "reduce(add, others) << 0"),
    "word_lost_while_busy": ("engine_table", "~loaded | (banks.write & banks.last)", "1"),
    "no_overlap_of_words": ("engine_table", "~loaded | (banks.write & banks.last)", "~loaded"),
    "window_starts_late": ("engine", "self.first_word = word == 0",
                           "self.first_word = word == min(1, program.words - 1)"),
    "window_ends_early": ("engine", "self.last_word = word == program.words - 1",
                          "self.last_word = word == max(program.words - 2, 0)"),
    "group_too_many": ("engine", "self.place == program.groups * program.pixels - 1",
                       "self.place == program.groups * program.pixels"),
    "steps_while_stalled": ("engine", "step.eq(banks.full & ready & advance)",
                            "step.eq(banks.full & ready)"),
    "engine_ignores_back_pressure": ("engine", "advance.eq(~self.o.valid | self.o.ready)",
                                     "advance.eq(1)"),
    "every_sum_is_offered": ("engine", "valid.eq(adding & offers)", "valid.eq(adding)"),
    "lanes_beyond_the_channels": ("engine", "Mux(group == program.groups - 1,",
                                  "Mux(group == program.groups,"),
    "levels_of_the_wrong_group": ("engine", "thresholds.group_next.eq(group)",
                                  "thresholds.group_next.eq(0)"),
    "change_is_the_value": ("engine_delta", "Mux(self.fresh, 0, ~before[:width])", "Const(0, 1)"),
    "change_forgets_the_sign_before": ("engine_delta", "~self.fresh & ~before[width]",
                                       "~self.fresh"),
    "word_starts_from_the_last": ("engine_delta", "Mux(self.fresh, 0, ~before[:width])",
                                  "~before[:width]"),
    "sums_go_on_from_block_to_block": ("engine_delta", "Mux(self.first & ~reading, 0, before)",
                                       "before"),
    "running_sum_never_starts": ("engine_delta", "Mux(starts, 0, earlier.as_signed())",
                                 "earlier.as_signed()"),
    "differences_of_the_other_pixel": ("engine_delta", "Cat(pixel, Mux(",
                                       "Cat(Const(0, len(pixel)), Mux("),
    "place_is_read_before_it_is_written": ("engine_delta", "transparent_for=(writer,)",
                                           "transparent_for=()"),
    "readout_too_short": ("engine_delta", "(self.group == program.groups - 1)",
                          "(self.group == max(program.groups - 2, 0))"),
    "dropped_lane": ("engine_lanes", "Mux(self.first, 0, old), value,",
                     "Mux(self.first, 0, old), value if lane else Const(0, 1),"),
    "sums_of_one_group_alone": ("engine_lanes", "writer.addr.eq(self.place)", "writer.addr.eq(0)"),
    "sign_of_index_ignored": ("engine_lanes", "entry ^ sign.replicate(width), sign",
                              "entry, Const(0, 1)"),
    "sign_without_carry": ("engine_lanes", "sign.replicate(width), sign",
                           "sign.replicate(width), Const(0, 1)"),
    "lane_reads_its_neighbour": ("engine_lanes", "self.weights.word_select(lane,",
                                 "self.weights.word_select(max(lane - 1, 0),"),
    "engine_threshold_off_by_one": ("engine_lanes", "total >= word", "total > word"),
    "level_not_inverted": ("engine_lanes", ") ^ word[-1]", ") ^ 0"),
    "weights_run_ahead": ("engine_memory", "complete & (~self.valid | self.take)", "complete"),
    "weights_never_wrap": ("engine_memory", "address == self._depth - 1", "address == self._depth"),
    "weight_words_swapped": ("engine_memory", "words = Cat(gathered, memory.data)",
                             "words = Cat(memory.data, gathered)"),
    "waits_for_weights": ("engine_memory", "(~self.valid | self.use | used)", "~self.valid"),
    "loaded_to_the_wrong_memory": ("engine_load", "target.eq(memory)", "target.eq(0)"),
    "loaded_one_address_on": ("engine_load", "written.eq(address)", "written.eq(address + 1)"),
    "runs_before_it_is_loaded": ("engine_load", "self.loaded.eq(loaded)", "self.loaded.eq(1)"),
}  # fmt: skip
"""Faults of the sequential engine."""

NETLIST_MUTANTS = {
    "literal_not_inverted": ("netlist", "~value if literal & 1 else value", "value"),
    "inputs_reversed": ("netlist", "for literal in cell.literals]",
                        "for literal in cell.literals[::-1]]"),
    "bit_from_another_stage": ("netlist", "registers(netlist.levels[bit], level))\n    return",
                               "registers(0, level))\n    return"),
    "output_not_inverted": ("netlist", "cells[output.last].first + output.inverted",
                            "cells[output.last].first"),
    "carry_not_read": ("netlist", "Cat(carry, rows[1])", "Cat(Const(0, 1), rows[1])"),
    "constant_of_an_adder_forgotten": ("netlist", "row.append(Const(1, 1))",
                                       "row.append(Const(0, 1))"),
    "parity_cut_short": ("netlist", "first ^ e ^ f ^ g", "first ^ e ^ f"),
    "last_carry_of_another_parity": ("netlist", "parity ^ f ^ g", "parity ^ f"),
    "ending_carry_of_another_parity": ("netlist", "first ^ e if", "first if"),
    "sum_of_inverted_bits": ("netlist", "_pipeline, wires, literal, level))",
                             "_pipeline, wires, literal ^ 1, level))"),
    "block_reads_another_stage": ("netlist", "wires.at(bit, cycles) for", "wires.at(bit, 0) for"),
}  # fmt: skip


# Components of whole networks.
STREAM_MUTANTS = {
    "windows_not_flushed": ("window", "flushing.eq(self.ahead)", "flushing.eq(0)"),
    "window_repeated": ("window", "m.d.sync += taken.eq(1)", "m.d.sync += taken.eq(0)"),
    "padding_not_masked": ("window", "return word & inside.replicate(self._word)", "return word"),
    "ring_one_short": ("window", "Mux(at == slots - 1, 0,", "Mux(at == slots - 2, 0,"),
    "stride_ignored": ("window", "origin & starts[0] & starts[1]", "origin & starts[1]"),
    "line_moves_while_stalled": ("window", "free.eq(~due | taken | self.o.ready)", "free.eq(1)"),
    "row_class_forgotten": ("window", '((rows, "row_class")', '((rows * 0, "row_class")'),
    "pad_has_wrong_filler": ("window", "self.i.payload, self._filler)", "self.i.payload, 0)"),
    "taps_not_taken_away": ("pool", "(1, -taps) if bipolar", "(1, 0) if bipolar"),
    "counts_not_doubled": ("pool", "self._scale * step", "0"),
    "sums_of_one_channel": ("pool", "elements[channel :: self._channels]",
                            "elements[0 :: self._channels]"),
    "sums_too_narrow": ("pool", "interval_shape(kernel[1] * low, kernel[1] * high)",
                        "interval_shape(low, high)"),
    "least_of_the_window": ("pool", "Mux(x >= y, a, b)", "Mux(x >= y, b, a)"),
    "ties_the_wrong_way": ("argmax", "second.score >= first", "second.score > first"),
    "scores_not_delayed": ("argmax", "                word = held", "                pass"),
    "gather_forgets_the_first": ("words", "Mux(self.o.valid, 1, there + 1)", "there + 1"),
    "split_goes_beyond_the_frame": ("words", "& (ends | (place", "& ((place"),
    "fifo_loses_the_second": ("words", "Mux(held[1], second, self.i.payload)", "self.i.payload"),
    "short_frame_not_filled": ("frame", "fills.eq(1)", "fills.eq(0)"),
    "long_frame_not_dropped": ("frame", "drops.eq(~fills & ~self.i.p.last)", "drops.eq(0)"),
    "sum_not_started_anew": ("folded", "Mux(first[summed], 0, value)", "value"),
    "folded_ignores_back_pressure": ("folded",
                                     "go.eq(~(completes & self.o.valid & ~self.o.ready))",
                                     "go.eq(1)"),
    "filling_counts": ("folded", "full = np.ones(", "full = np.zeros("),
    "class_of_constants_forgotten": ("folded", "row + self.i.p.border * rows", "fold + 0"),
    "rows_in_wrong_order": ("folded", "word.eq(Cat(held, row))", "word.eq(Cat(row, held))"),
    "channels_read_another_group": ("folded", "channels * self._groups // self._channels",
                                    "channels * 0"),
    "taps_of_groups_mixed": ("folded", "runs[group :: self._groups]",
                             "runs[group * self._taps :][: self._taps]"),
    "patch_goes_with_its_first_word": ("engine_core", "engine.i.ready & last", "engine.i.ready"),
    "words_go_on_while_the_engine_waits": ("engine_core", "self.i.valid & engine.i.ready",
                                           "self.i.valid"),
    "padding_of_another_class": ("engine_core", "selected(chosen, self.i.p.border)", "chosen[0]"),
    "groups_ignore_back_pressure": ("engine_core", "engine.o.ready.eq(groups.i.ready)",
                                    "engine.o.ready.eq(1)"),
}  # fmt: skip

AFFINE_MUTANTS = {
    "half_down": ("affine", "half = (1 << shift) >> 1", "half = max(((1 << shift) >> 1) - 1, 0)"),
    "half_even": ("affine", "shifted.eq(self._sum.o >> self._shift)",
                  "shifted.eq((self._sum.o >> self._shift) - (self._sum.o[:self._shift + 1] =="
                  " 1 << self._shift) * bool(self._shift))"),
    "not_rounded": ("affine", "(offset + half).T", "offset.T"),
    "upper_saturation_missing": ("affine", "if span[1] > form[1]:", "if False:"),
    "lower_saturation_missing": ("affine", "if span[0] < form[0]:", "if False:"),
    "top_bit_missing_above": ("affine", "bound.bit_length() :]", "bound.bit_length() + 1 :]"),
    "top_bit_missing_below": ("affine", "(-bound - 1).bit_length() :]",
                              "(-bound - 1).bit_length() + 1 :]"),
    "upper_bound_off_by_one": ("affine", "return value > bound", "return value > bound + 1"),
    "lower_bound_off_by_one": ("affine", "return value < bound", "return value + 1 < bound"),
    "weights_swapped": ("affine", "weights.transpose(2, 0, 1)",
                        "weights.transpose(2, 0, 1)[:, :, ::-1]"),
    "channels_swapped": ("affine", "word_select(number, ", "word_select(0, "),
    "digit_has_wrong_sign": ("affine", "Term(shape, sign,", "Term(shape, 1,"),
    "shared_input_has_wrong_sign": ("affine", "Term(interval_shape(*intervals[k]), sign,",
                                    "Term(interval_shape(*intervals[k]), 1,"),
    "join_takes_too_early": ("affine", "source.valid for source in sources).all()",
                             "source.valid for source in sources).any()"),
    "ready_without_the_others": ("affine", "ready & Cat(others).all() if others else ready",
                                 "ready"),
    "sum_not_delayed": ("affine", "registers(channel.sum_level, self.level)", "registers(0, 0)"),
    "half_adder_is_an_or": ("compressor", "bits[0] ^ bits[1]", "bits[0] | bits[1]"),
    "difference_is_a_sum": ("sums", "else total - value", "else total + value"),
    "carry_left_out": ("sums", "total: Value = Const(self._constant)", "total: Value = Const(0)"),
    "register_ignores_stalls": ("affine", "with m.If(advance):", "with m.If(1):"),
}  # fmt: skip

QUANTIZE_MUTANTS = {
    "level_off_by_one": ("quantize", "return value >= turn", "return value > turn"),
    "falling_level_off_by_one": ("quantize", "levels.clip(low - 1, high) + 1",
                                 "levels.clip(low - 1, high)"),
    "chosen_level_off_by_one": ("quantize", "passes.eq(value >= chosen",
                                "passes.eq(value > chosen"),
    "direction_ignored": ("quantize", "code ^ fall", "code ^ 0 * fall"),
    "levels_of_another_step": ("quantize", "levels[half - 1 :: 2 * half]", "levels[:: 2 * half]"),
    "halves_swapped": ("quantize", "Mux(number[-1], upper, lower)",
                       "Mux(number[-1], lower, upper)"),
    "code_reversed": ("quantize", "code = Cat(passes, code)", "code = Cat(code, passes)"),
    "passed_behind_the_last": ("quantize", "levels.shape[2]), high + 1)",
                               "levels.shape[2]), high)"),
    "value_not_delayed": ("quantize", "value = delayed(m, value, cycles",
                          "value = delayed(m, value, 0"),
    "codes_ignore_stalls": ("quantize", "with m.If(advance):", "with m.If(1):"),
    "highest_level_out_of_reach": ("quantize", "min(level) > high", "min(level) >= high"),
}  # fmt: skip

LINK_MUTANTS = {
    "start_bit_not_checked": ("uart", 'm.next = "IDLE"\n                with m.If(~line):',
                              'm.next = "IDLE"\n                with m.If(1):'),
    "stop_bit_not_checked": ("uart", "framing.eq(~line)", "framing.eq(0)"),
    "sampled_at_the_edge": ("uart", "self._divisor // 2 - 1", "0"),
    "line_need_not_rise": ("uart", 'm.State("BREAK"), m.If(line)', 'm.State("BREAK"), m.If(1)'),
    "lost_bytes_not_told": ("uart", "overrun.eq(lost)", "overrun.eq(0)"),
    "highest_bit_first": ("uart", "word.eq(Cat(word[1:], line))", "word.eq(Cat(line, word[:7]))"),
    "no_stop_bit": ("uart", "left.eq(10)", "left.eq(9)"),
    "end_is_data": ("packet", "ends.eq(~self.i.p.framing &", "ends.eq(0 &"),
    "escapes_stay": ("packet", "m.d.comb += value.eq(_END)", "m.d.comb += value.eq(_ESCAPE)"),
    "escape_forgotten": ("packet", "special.eq(~end &", "special.eq(0 &"),
    "escaped_for_ever": ("packet", "escaped.eq(special & ~escaped)", "escaped.eq(special)"),
    "checksum_not_checked": ("packet", "~checksum.match_detected", "0"),
    "checksum_goes_on": ("packet", "checksum.start.eq(taken & ends)", "checksum.start.eq(0)"),
    "partial_beat_not_told": ("packet", "Cat(0, 0, ~full,", "Cat(0, 0, 0,"),
    "framing_forgotten": ("packet", "framing.eq(~ends & (framing | self.i.p.framing))",
                          "framing.eq(0)"),
    "framing_kept": ("packet", "framing.eq(~ends & (framing", "framing.eq((framing"),
    "overrun_forgotten": ("packet", "overrun.eq(~ends & (overrun | self.i.p.overrun))",
                          "overrun.eq(0)"),
    "number_is_data": ("packet", "number.eq(late[0]), numbered.eq(1)", "number.eq(late[0])"),
    "faults_of_the_network_dropped": ("packet", "status | self.i.p.user", "status"),
    "beat_ignores_back_pressure": ("packet", "self.i.ready.eq(~gives |", "self.i.ready.eq(1 |"),
    "record_without_its_beat": ("packet", "self.record.valid.eq(gives & ends & self.o.ready)",
                                "self.record.valid.eq(gives & ends)"),
    "answer_of_one_beat": ("packet", "last_byte & self.i.p.last", "last_byte"),
}  # fmt: skip

# Of what lets bases take turns, and of what a network of bases turns on.
TURN_MUTANTS = {
    "turn_never_ends": ("turns", "Mux(now == count - 1, 0, now + 1)", "now + 1"),
    "turn_stays": ("turns", "now.eq(Mux(now == count - 1, 0, now + 1))", "now.eq(0)"),
    "turn_not_delayed": ("turns", "delayed(m, self._now, cycles", "delayed(m, self._now, 0"),
    "turn_ignores_stalls": ("turns", "with m.If(taken):", "with m.If(1):"),
    "negative_digit_without_its_one": ("affine", "c + ((digit < 0) << 2 * at)", "c"),
    "digit_of_another_turn": ("affine", "turn.choose(parts)", "turn.choose(parts[::-1])"),
    "digits_of_one_place": ("affine", "digits[shift // 2] = sign", "digits[0] = sign"),
    "constants_of_one_turn": ("folded", "at.eq(Mux(last_step & last_row, 0, at + 1))",
                              "at.eq(Mux(last_step & last_fold, 0, at + 1))"),
    "levels_of_one_turn": ("folded", "row.eq(Mux(last_row, 0, row + 1))", "row.eq(0)"),
    "taps_of_another_turn": ("window", "((k * d - p) * turns",
                             "((k * d - p) * turns + (turns > 1)"),
    "window_of_one_turn": ("window", "for turn in range(turns)]", "for turn in range(1)]"),
    "repeat_too_few": ("words", "last.eq(turn == self._count - 1)", "last.eq(1)"),
    "alternate_of_the_first": ("words", "word_select(k, bits) for", "word_select(0 * k, bits) for"),
    "slice_of_the_first": ("words", "for at in range(start,", "for at in range(0 * start,"),
    "slice_keeps_top_bits": ("words", "range(at, at + kept)",
                             "range(at + width - kept, at + width)"),
    "rounds_half_to_even": ("affine", "shifted.eq(self._sum.o >> self._shift)",
                            "shifted.eq((self._sum.o >> self._shift) - (self._sum.o[:self._shift"
                            " + 1] == 1 << self._shift) * bool(self._shift))"),
    "saturates_never_above": ("affine", "if span[1] > form[1]:", "if False:"),
    "saturates_never_below": ("affine", "if span[0] < form[0]:", "if False:"),
}  # fmt: skip


_ALL = {
    **TURN_MUTANTS,
    **MUTANTS,
    **ENGINE_MUTANTS,
    **NETLIST_MUTANTS,
    **STREAM_MUTANTS,
    **AFFINE_MUTANTS,
    **QUANTIZE_MUTANTS,
    **LINK_MUTANTS,
}


def load_mutant(name: str, folder: Path, module: str = "core") -> ModuleType:
    """Return a module of a copy of the gateware with one line wrong, or none."""
    file, right, wrong = _ALL.get(name, ("", "", ""))
    package = f"mutant_{name}"
    target = folder / package / "gateware"
    target.mkdir(parents=True)
    for path in SOURCE.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.stem == file:
            assert text.count(right) >= 1, f"{file}.py has no {right!r}"
            text = text.replace(right, wrong)
        (target / path.name).write_text(text, encoding="utf-8")
    # Only the gateware is copied; the graph's classes stay the same.
    sys.modules[f"{package}.errors"] = bnn2hw.errors
    sys.modules[f"{package}.plan"] = bnn2hw.plan
    sys.modules[f"{package}.plan.counters"] = bnn2hw.plan.counters
    sys.modules[f"{package}.plan.engine_program"] = bnn2hw.plan.engine_program
    sys.modules[f"{package}.plan.graph"] = bnn2hw.plan.graph
    sys.modules[f"{package}.plan.netlist"] = bnn2hw.plan.netlist
    sys.modules[f"{package}.plan.netlist_parts"] = bnn2hw.plan.netlist_parts
    sys.modules[f"{package}.plan.outputs"] = bnn2hw.plan.outputs
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(f"{package}.gateware.{module}")
    finally:
        sys.path.remove(str(folder))
