"""Benchmark of example reweighting under label noise and class imbalance."""

__version__ = "0.2.0"
