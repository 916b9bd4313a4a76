"""Names that Verilog, Python and the build directory all accept."""

from __future__ import annotations

import keyword
import sys

__all__ = ["class_name", "top_name"]

# IEEE 1800-2017, annex B: the words that a layer name (letters, digits, underscores) may hit.
_VERILOG = frozenset(
    """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup
    coverpoint cross deassign default defparam design disable dist do edge else end endcase
    endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
    endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable
    endtask enum event eventually expect export extends extern final first_match for force foreach
    forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins
    illegal_bins implements implies import incdir include initial inout input inside instance int
    integer interconnect interface intersect join join_any join_none large let liblist library
    local localparam logic longint macromodule matches medium modport module nand negedge nettype
    new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter
    pmos posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real
    realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
    s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal
    showcancelled signed small soft solve specify specparam static string strong strong0 strong1
    struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout
    time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef
    union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
    """.split()
)
# What a layer's Python file would hide from the bench and the components, and the other names in
# a layer's folder and module.
_TAKEN = frozenset(
    """
    amaranth clk cocotb core false find_libpython hdl jinja2 makefile manifest none numpy plan
    pygpi pyosys pytest results rst scipy sim_build synth true vectors verilator
    """.split()
) | {name.lower() for name in sys.stdlib_module_names}
_PORTS = ("s_axis_", "m_axis_")


def top_name(layer: str) -> str:
    """Return the name of a layer's module and files: its own wherever that can be."""
    taken = layer.lower() in _TAKEN or layer.startswith(_PORTS)
    if layer in _VERILOG or keyword.iskeyword(layer) or taken:
        return f"layer_{layer}"
    return layer


def class_name(top: str) -> str:
    """Return the name of the layer's Amaranth class: ``conv3`` gives ``Conv3``."""
    return top[0].upper() + top[1:] if top[0].isalpha() else f"Layer{top}"
