"""The arithmetic of forward passes."""

from typing import Literal

Precision = Literal["float32", "bfloat16"]
