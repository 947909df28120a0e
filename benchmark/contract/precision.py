"""How precisely a model may be asked to compute; free of torch."""

from typing import Literal

Precision = Literal["float32", "bfloat16", "float16"]
