"""The command line: one file per subcommand, which parses, calls the API and prints."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..errors import Bnn2hwError
from . import (
    board,
    compress,
    doctor,
    engine,
    generate,
    import_,
    inspect,
    simulate,
    synth,
    timeline,
    train,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="bnn2hw",
    help="Compile trained binary neural networks to verified hardware on open tools.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_verbosity = 0


@app.callback()
def _options(
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Twice: tracebacks of errors.")
    ] = 0,
) -> None:
    global _verbosity
    _verbosity = verbose


app.command("generate")(generate.generate)
app.command("engine")(engine.engine)
app.command("simulate")(simulate.simulate)
app.command("synth")(synth.synth)
app.command("board")(board.board)
app.command("inspect")(inspect.inspect)
app.command("compress")(compress.compress)
app.command("timeline")(timeline.timeline)
app.command("import")(import_.import_model)
app.command("train")(train.train)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; errors end in one line and an exit code.

    1 is an error in what was given, 2 one in how it was called; Typer ends an interrupt with 130.
    """
    try:
        app()
    except Bnn2hwError as error:
        if _verbosity >= 2:
            raise
        print(f"bnn2hw: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (OSError, MemoryError) as error:
        if _verbosity >= 2:
            raise
        what = "out of memory" if isinstance(error, MemoryError) else error
        print(f"bnn2hw: {what}; -vv shows where", file=sys.stderr)
        sys.exit(1)
