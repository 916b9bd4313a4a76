"""The text of a netlist reads back to the same netlist, and nothing else reads."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn2hw.errors import PlanError
from bnn2hw.model import LinearLayer, Tensor, Threshold
from bnn2hw.plan.netlist import BitOutput, Netlist
from bnn2hw.plan.rowtree import rowtree_netlist
from bnn2hw.plan.targets import TARGETS
from bnn2hw.plan.text import dump, load
from tests.plan.strategies import dense, layers, random_bits, vector


@settings(max_examples=25, deadline=None, derandomize=True)
@given(layers, st.sampled_from(sorted(TARGETS)))
def test_text_reads_back(case: tuple[LinearLayer, Tensor], target: str) -> None:
    netlist = rowtree_netlist(*case, target)
    assert load(dump(netlist)) == netlist


@cache
def small(target: str = "lut6") -> str:
    layer = dense(random_bits(5, 30, 1), Threshold.at_least(np.arange(5)))
    return dump(rowtree_netlist(layer, vector(30), target))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("netlist inputs 30", "netlist inputs x", "is not 'netlist inputs N target NAME'"),
        ("n30 = ", "n31 = ", "numbers bit 31 where 30 is next"),
        ("n30 = count 6 0 0", "n30 = count 7 0 0", "has no such counter"),
        ("n30 = count 6 0 0", "n30 = count 6 2 0", "has no such counter"),
        ("n30 = count 6 0 0", "n30 = count 5 0 0", "has a counter of 6 literals"),
        ("n30 = count 6 0 0", "n30 = add 4 0 0", "is not 'nBIT = "),
        ("n30 = count 6 0 0", "n30 = add 3.2 9 0", "has no such counter"),
        ("target lut6", "target lut5", "names the target 'lut5', which is none of lut6"),
        ("n30 = count 6 0 0: ", "n30 = count 6 0 0: n9999 ", "reads n9999, which is not there"),
        ("bit 1 = ", "bit 0 = ", "has channel 0 out of order"),
        ("bit 1 = ", "bite 1 = ", "is neither a cell nor an output"),
        (" >= ", " > ", "is neither a cell nor an output"),
    ],
)
def test_damage_is_told(old: str, new: str, message: str) -> None:
    text = small()
    assert old in text
    with pytest.raises(PlanError, match=message):
        load(text.replace(old, new, 1))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(TARGETS)), st.data())
def test_hostile_text_is_an_error_or_a_netlist(target: str, data: st.DataObject) -> None:
    text = small(target)
    at = data.draw(st.integers(0, len(text) - 1))
    change = data.draw(st.text(alphabet="0123456789xn~;|>= lutbis\n:", max_size=4))
    with suppress(PlanError):
        assert isinstance(load(text[:at] + change + text[at + 1 :]), Netlist)


def test_a_column_that_ends_without_a_cell_is_kept() -> None:
    netlist, heap = Netlist(3, TARGETS["asic"]), ((0, 2), (4,))
    netlist.add(None, (0,), 2)
    for steps in ((), ((),), ((), ()), ((0,), ())):
        netlist.outputs = [BitOutput(0, heap, 2, steps, (), 0, inverted=False)]
        assert load(dump(netlist)) == netlist
    with pytest.raises(PlanError, match="does not end in a bar: '5'"):
        load(dump(netlist).replace("; 0 | |;", "; 0 | 5;"))
