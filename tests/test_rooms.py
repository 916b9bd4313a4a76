"""The rooms of docs/design.md: who may import whom, enforced on every file of the package.

The order is read from the table itself; what a room must not know beyond that stands here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bnn2hw"

# The column "must not know" of the table, where the order of the rooms does not say it.
NEVER = {
    "model": ("amaranth", "onnx", "qonnx"),
    "golden": ("amaranth", "bnn2hw.frontends", "bnn2hw.networks"),
    "plan": ("amaranth", "bnn2hw.frontends", "bnn2hw.golden", "bnn2hw.networks"),
    "train": ("amaranth", "bnn2hw.networks"),
    "gateware": (
        "bnn2hw.frontends", "bnn2hw.golden", "bnn2hw.model.file", "bnn2hw.networks",
        "bnn2hw.toolchain", "os", "pathlib", "shutil", "subprocess", "tempfile",
    ),
    "verify": ("amaranth", "bnn2hw.gateware"),
    "synth": ("amaranth", "bnn2hw.gateware"),
    "report": ("amaranth", "bnn2hw.frontends", "bnn2hw.gateware", "bnn2hw.golden"),
}  # fmt: skip


def rooms() -> list[set[str]]:
    """Return the rooms of the table from top to bottom; those of one row stand together."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = re.search(r"^## Rooms.*?^\|---.*?\n(.*?)\n\n", text, re.M | re.S)
    assert table is not None
    rows = [line.split("|")[1] for line in table.group(1).splitlines()]
    return [
        {name.rstrip("/").removesuffix(".py") for name in re.findall("`(.+?)`", row)}
        for row in rows
    ]


def room_of(module: str) -> str:
    """Return the room of a module such as ``bnn2hw.plan.tree``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(source: str, package: str) -> Iterator[str]:
    """Yield the full names of all modules that a source imports, anywhere in it.

    A name imported from a package counts as a module of it: ``from ..plan import tree`` gives
    ``bnn2hw.plan.tree``.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, *filter(None, [base])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def violations(source: str, module: str) -> list[str]:
    """Return the imports of a module that its room must not have."""
    order = rooms()
    room = room_of(module)
    place = next((k for k, names in enumerate(order) if room in names), None)
    assert place is not None, f"{module} is in no room of docs/design.md"
    above = {f"bnn2hw.{name}" for names in order[: place + 1] for name in names}
    never = (*NEVER.get(room, ()), *(() if room == "train" else ("sklearn", "torch")))
    wrong = []
    for name in imports(source, module.rpartition(".")[0]):
        own = name.split(".")[0] == "bnn2hw"
        below = own and ".".join(name.split(".")[:2]) not in above
        if below or any(f"{name}.".startswith(f"{other}.") for other in never):
            wrong.append(name)
    return wrong


def files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_of(path: Path) -> str:
    # The package of an __init__.py is the folder, as that of any other file in it.
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_the_table_is_read() -> None:
    order = rooms()
    assert order[0] == {"errors", "object_cache", "toolchain"}
    assert order[-1] == {"cli"}
    assert {"model", "frontends", "golden", "plan", "gateware", "api"} <= set().union(*order)
    assert set(NEVER) <= set().union(*order)


@pytest.mark.parametrize("path", files(), ids=module_of)
def test_a_file_imports_only_what_it_may(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), module_of(path)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bnn2hw.golden.images", "from ..plan import tree"),
        ("bnn2hw.golden.images", "from ..plan.tree import Tree"),
        ("bnn2hw.golden.images", "from .. import gateware"),
        ("bnn2hw.golden.images", "import bnn2hw.gateware.popcount"),
        ("bnn2hw.golden.images", "from bnn2hw import plan"),
        ("bnn2hw.golden.images", "def f():\n    from bnn2hw.plan.tree import Tree"),
        ("bnn2hw.golden.images", "if TYPE_CHECKING:\n    from ..emit import build"),
        ("bnn2hw.golden.images", "import bnn2hw"),
        ("bnn2hw.gateware.layer", "from ..golden import run"),
        ("bnn2hw.gateware.layer", "from pathlib import Path"),
        ("bnn2hw.plan.mst", "import amaranth.hdl"),
        ("bnn2hw.plan.mst", "from amaranth import Module"),
        ("bnn2hw.model.file", "from ..frontends.arrays import import_arrays"),
        ("bnn2hw.frontends.__init__", "from ..golden import run"),
        ("bnn2hw.errors", "from .model import Network"),
        ("bnn2hw.verify.run", "from ..gateware.layer import LayerCore"),
        ("bnn2hw.api", "from .cli import main"),
        ("bnn2hw.api", "import torch"),
        ("bnn2hw.train.loop", "from ..emit import build"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bnn2hw.golden.images", "import os\nimport numpy as np\nfrom pathlib import Path"),
        ("bnn2hw.golden.images", "from ..model import Network\nfrom ..errors import ModelError"),
        ("bnn2hw.golden.images", "from .patch import layer_sums\nfrom . import values"),
        ("bnn2hw.frontends.__init__", "from ..model import Network\nfrom .arrays import x"),
        ("bnn2hw.plan.mst", "from .tree import Tree\nimport amaranthine"),
        ("bnn2hw.cli.generate", "from .. import api\nfrom bnn2hw.api import generate"),
        ("bnn2hw.api", "from . import inspection\nfrom .emit.build import write_build"),
    ],
)
def test_an_allowed_import_is_not(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_a_file_without_a_room_is_found() -> None:
    with pytest.raises(AssertionError, match=r"bnn2hw\.attic is in no room"):
        violations("", "bnn2hw.attic")
