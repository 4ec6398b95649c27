"""Kernels for GPUs, in Triton; imported only where triton is installed."""
