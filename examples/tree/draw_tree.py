"""Draw the spanning tree of a layer of the bundled network, e.g. into docs/images.

python examples/tree/draw_tree.py conv3 docs/images/conv3-tree.png
"""

import sys
from pathlib import Path

import bnn2hw
from bnn2hw.model import LinearLayer
from bnn2hw.plan import plan_layer
from bnn2hw.report.tree import draw_tree

name, path = sys.argv[1], Path(sys.argv[2])
network = bnn2hw.load_network()
layer = network.layer(name)
assert isinstance(layer, LinearLayer)
plan = plan_layer(layer, network.source(layer), "mst")
assert plan.tree is not None
draw_tree(plan.tree, path)
print(f"{path}: {plan.tree.total:,} XNOR terms, depth {plan.tree.depth}")
