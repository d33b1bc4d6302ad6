"""Types of arrays with their shapes, such as ``Float[np.ndarray, "batch vocab"]``.

Type checkers, and tests that imported jaxtyping before to check shapes at run time, get jaxtyping's
types. Everywhere else ``Float[np.ndarray, "batch"]`` is only ``np.ndarray``: importing jaxtyping
takes as long as reading a small run.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Float32 as Float32
    from jaxtyping import Float64 as Float64
    from jaxtyping import Int16 as Int16
    from jaxtyping import Int32 as Int32
    from jaxtyping import Int64 as Int64
    from jaxtyping import Integer as Integer
    from jaxtyping import Num as Num
    from jaxtyping import UInt as UInt
    from jaxtyping import UInt8 as UInt8
    from jaxtyping import UInt32 as UInt32
    from jaxtyping import UInt64 as UInt64
else:

    class _ClassOfArray:
        """A stand-in for jaxtyping's types: ``_ClassOfArray[np.ndarray, shape]`` is the class."""

        def __class_getitem__(cls, class_and_shape: tuple[Any, str]) -> Any:
            return class_and_shape[0]

    Bool = Float = Float32 = Float64 = Int16 = Int32 = Int64 = Integer = Num = _ClassOfArray
    UInt = UInt8 = UInt32 = UInt64 = _ClassOfArray
