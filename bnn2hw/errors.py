"""The errors a user can cause, each told in one line.

The command line prints ``str(error)`` and ends with ``error.exit_code``: 1, or 2 for
:class:`UsageError`. Asserts elsewhere guard internal invariants alone.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "Bnn2hwError",
    "BuildError",
    "HostError",
    "ImportFailure",
    "ModelError",
    "PlanError",
    "SynthesisError",
    "ToolError",
    "TrainingError",
    "UsageError",
    "VerificationError",
]


class Bnn2hwError(Exception):
    """An error with a place and a remedy.

    Parameters
    ----------
    what
        What is wrong, with the offending value and what was expected.
    file, layer
        Where, as far as it is known.
    remedy
        What the user can do about it.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        file: str | Path | None = None,
        layer: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.file = None if file is None else str(file)
        self.layer = layer
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        place = [] if self.file is None else [self.file]
        place += [] if self.layer is None else [f"layer {self.layer}"]
        text = ": ".join([*place, self.what])
        if self.remedy is not None:
            text += f"; {self.remedy}"
        return " ".join(text.split())

    def located(self, *, file: str | Path | None = None, layer: str | None = None) -> Bnn2hwError:
        """Return the same error with the places filled in that it did not know."""
        return type(self)(
            self.what,
            file=self.file if self.file is not None else file,
            layer=self.layer if self.layer is not None else layer,
            remedy=self.remedy,
        )


class UsageError(Bnn2hwError):
    """An option or a combination of options that makes no sense."""

    exit_code = 2


class ModelError(Bnn2hwError):
    """A network or a model file that is not well-formed."""


class ImportFailure(Bnn2hwError):
    """A file of another format that cannot be turned into a model."""


class TrainingError(Bnn2hwError):
    """A recipe that makes no sense, or a training that cannot go on."""


class PlanError(Bnn2hwError):
    """A layer that cannot be planned, or a plan that fails its proof."""


class BuildError(Bnn2hwError):
    """A build directory that cannot be written or read."""


class HostError(Bnn2hwError):
    """A board that does not answer, or not as it should."""


class ToolError(Bnn2hwError):
    """An external tool that is missing, too old, or failed.

    Attributes
    ----------
    log
        What the tool wrote until it failed; empty where it never ran.
    """

    log = ""


class VerificationError(Bnn2hwError):
    """Hardware that differs from the golden model."""


class SynthesisError(Bnn2hwError):
    """A synthesis run that failed."""
