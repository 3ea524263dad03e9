"""Array types of the optimizer."""

from __future__ import annotations

import numpy
import numpy.typing

Floats = numpy.typing.NDArray[numpy.float64]
Ints = numpy.typing.NDArray[numpy.int64]
Bools = numpy.typing.NDArray[numpy.bool_]
