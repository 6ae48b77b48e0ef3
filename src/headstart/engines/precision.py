"""The number formats that a network may be run in, and what an engine gives back."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["bf16", "fp32", "int8"]
Outputs = dict[str, NDArray[np.float32]]
POOLED = ("grid", "features")
"""What a whole backbone gives, in this order; other networks name their own."""
