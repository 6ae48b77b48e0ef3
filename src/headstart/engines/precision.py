"""The number formats that a network may be run in, and what an engine gives back."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["bf16", "fp32", "int8"]
Outputs = dict[str, NDArray[np.float32]]
