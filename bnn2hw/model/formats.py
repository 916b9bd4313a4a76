"""What the numbers on an edge of the network are: their format and shape."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModelError

__all__ = ["BIPOLAR", "Bipolar", "Format", "Integer", "Tensor"]


@dataclass(frozen=True)
class Bipolar:
    """One bit an element: bit 1 is +1, bit 0 is -1."""

    @property
    def low(self) -> int:
        """Return the least value, -1."""
        return -1

    @property
    def high(self) -> int:
        """Return the greatest value, +1."""
        return 1

    @property
    def width(self) -> int:
        """Return the width of an element in bits."""
        return 1

    @property
    def fraction(self) -> int:
        """Return 0: there are no bits behind the point."""
        return 0

    @property
    def signed(self) -> bool:
        """Return False: a bipolar element travels as one plain bit."""
        return False

    def __str__(self) -> str:
        return "bipolar"


@dataclass(frozen=True)
class Integer:
    """Integers in the closed interval [low, high], in two's complement where low < 0.

    Attributes
    ----------
    low, high
        The least and the greatest integer.
    fraction
        What the integers mean in fixed point: integer * 2**-fraction. All arithmetic is on the
        integers.

    Raises
    ------
    ModelError
        If the interval is empty or wider than 32 bits, or the fraction is not 0 to 62.
    """

    low: int
    high: int
    fraction: int = 0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ModelError(f"an integer format from {self.low} to {self.high} is empty")
        if self.width > 32:
            raise ModelError(f"an integer format of {self.width} bits is wider than 32 bits")
        if not 0 <= self.fraction <= 62:
            raise ModelError(f"a fraction of {self.fraction} bits is not 0 to 62")

    @property
    def signed(self) -> bool:
        """Return whether the format has negative values."""
        return self.low < 0

    @property
    def width(self) -> int:
        """Return the width of an element in bits, at least 1."""
        if self.signed:
            return max((-self.low - 1).bit_length(), max(self.high, 0).bit_length()) + 1
        return max(self.high.bit_length(), 1)

    def __str__(self) -> str:
        unit = f" x 2^-{self.fraction}" if self.fraction else ""
        return f"integer {self.low}..{self.high}{unit}"


Format = Bipolar | Integer
BIPOLAR = Bipolar()


@dataclass(frozen=True)
class Tensor:
    """The shape and format of an edge: (height, width, channels) for maps, (size,) for vectors.

    Raises
    ------
    ModelError
        If the rank is neither 1 nor 3, or a dimension is below 1.
    """

    shape: tuple[int, ...]
    format: Format

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 3) or any(n < 1 for n in self.shape):
            raise ModelError(f"shape {self.shape} is neither (height, width, channels) nor (size,)")

    @property
    def channels(self) -> int:
        """Return the size of the last axis."""
        return self.shape[-1]

    @property
    def size(self) -> int:
        """Return the number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size
