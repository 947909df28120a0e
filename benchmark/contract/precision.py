"""The names of the autocast precisions; this module does not import torch."""

from typing import Literal

Precision = Literal["float32", "bfloat16", "float16"]
