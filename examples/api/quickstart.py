"""Generate, simulate and synthesise a layer of the bundled network from Python."""

import bnn2hw

network = bnn2hw.load_network()  # or bnn2hw.load("model.npz")
for report in bnn2hw.inspect(network):
    print(report.name, report.terms_direct, report.terms_complement)

build = bnn2hw.generate(network, ["conv3"], plan="mst", out="build/quickstart")
for simulation in bnn2hw.simulate(build.directory, vectors=500):
    print(f"{simulation.layer}: {simulation.outputs} outputs compared, all equal")
for synthesis in bnn2hw.synthesise(build.directory, ["ice40"], baseline=True):
    print(f"{synthesis.layer}: {synthesis.result.luts} LUTs")
