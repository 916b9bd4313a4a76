"""The numbers of a simulation, checked before work starts."""

from __future__ import annotations

from ..errors import UsageError

__all__ = ["check_simulation"]

_MOST = 10_000_000


def check_simulation(what: str, count: int, least: int, seed: int, stall: float) -> None:
    """Check how much is simulated (``what`` names it), the seed, and the part of stalled cycles.

    Raises
    ------
    UsageError
        If one of them makes no sense.
    """
    if not least <= count <= _MOST:
        raise UsageError(f"{count} {what} make no sense", remedy=f"give {least} to {_MOST:,}")
    if not 0 <= stall < 1:
        raise UsageError(f"stall probability {stall} is not in [0, 1)")
    if seed < 0:
        raise UsageError(f"seed {seed} is negative")
