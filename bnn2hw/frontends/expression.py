"""Float expressions of one integer: what a graph does to a sum before its sign is taken.

An expression is a chain of elementwise steps with constants, kept as the source has them, so
that it can be evaluated in the source's own data type and in its own order of operations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Expression", "Step", "arithmetic", "batch_normalization", "scale"]

Array = NDArray[Any]

_OPERATORS: dict[str, tuple[np.ufunc, str]] = {
    "Add": (np.add, "+"),
    "Div": (np.divide, "/"),
    "Mul": (np.multiply, "*"),
    "Sub": (np.subtract, "-"),
}


@dataclass(frozen=True)
class Step:
    """One operation of an expression.

    Attributes
    ----------
    apply
        From values (count, channels) to values of the same shape.
    text
        How it reads, with ``{}`` in place of its argument.
    monotone
        Whether it never turns round: with a constant, all but ``constant / x``. Rounding to the
        nearest keeps that.
    """

    apply: Callable[[Array], Array]
    text: str
    monotone: bool = True


@dataclass(frozen=True)
class Expression:
    """Elementwise steps on an integer or real number, in a float data type.

    Attributes
    ----------
    dtype
        Data type that the source computes in.
    steps
        In order of evaluation.
    """

    dtype: np.dtype[Any]
    steps: tuple[Step, ...] = ()

    def then(self, *steps: Step) -> Expression:
        """Return the expression with further steps."""
        return Expression(self.dtype, (*self.steps, *steps))

    def __call__(self, values: Array) -> Array:
        """Return the values of the expression.

        Parameters
        ----------
        values
            Shape (count, channels) or (count, 1).

        Returns
        -------
        array
            In the expression's data type, of that shape broadcast with the constants; may hold
            infinities and NaN.
        """
        result = np.asarray(values).astype(self.dtype)
        with np.errstate(all="ignore"):
            for step in self.steps:
                result = step.apply(result)
        return result

    @property
    def monotone(self) -> bool:
        """Return whether every channel is known to be nondecreasing or nonincreasing."""
        return all(step.monotone for step in self.steps)

    def text(self, variable: str) -> str:
        """Return the expression as it reads, such as ``(x * 2) - 1``."""
        result = variable
        for position, step in enumerate(self.steps):
            result = step.text.format(f"({result})" if position else result)
        return result


def arithmetic(operator: str, constant: Array, *, swapped: bool = False) -> Step:
    """Return the step ``x OP constant``, or ``constant OP x`` if swapped.

    Parameters
    ----------
    operator
        ``Add``, ``Sub``, ``Mul`` or ``Div``.
    constant
        Shape (channels,) or (1,), in the data type of the expression.
    swapped
        Whether the constant comes first.
    """
    function, sign = _OPERATORS[operator]
    value = _text(constant)
    if swapped:
        return Step(lambda x: function(constant, x), f"{value} {sign} {{}}", operator != "Div")
    return Step(lambda x: function(x, constant), f"{{}} {sign} {value}")


def batch_normalization(
    gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float
) -> Step:
    """Return the step ``(x - mean) / sqrt(variance + epsilon) * gamma + beta``.

    The order is that of the ONNX specification of BatchNormalization. Constants have shape
    (channels,), in the data type of the expression.
    """
    deviation = np.sqrt(variance + gamma.dtype.type(epsilon))
    return Step(lambda x: (x - mean) / deviation * gamma + beta, "BatchNormalization({})")


def scale(factor: NDArray[np.float64], dtype: np.dtype[Any]) -> Step:
    """Return the step ``x * factor``, rounded once from the exact product.

    A framework adds scaled terms and rounds every one of them; the exact product of sum and
    scale is what it approximates, and the same where the scale is a power of two.
    """
    return Step(lambda x: (x.astype(np.float64) * factor).astype(dtype), f"{{}} * {_text(factor)}")


def _text(constant: Array) -> str:
    if constant.size and (constant == constant.flat[0]).all():
        return f"{constant.flat[0]:.9g}"
    return f"[{constant.size} constants]"
