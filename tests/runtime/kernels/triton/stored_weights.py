"""What a `Quantized` weight stands for, by its definition; for the tests of this folder."""

from __future__ import annotations

import torch

from branchline.runtime.kernels.triton.packing import Quantized


def weight_of(weight: Quantized) -> torch.Tensor:
    """float64 [outputs, inputs]."""
    if weight.storage == "int4":
        steps = weight.codes.cpu().view(weight.outputs, -1, 64)
        values = torch.cat((steps & 15, steps >> 4), 2).flatten(1).double() - 8
    else:
        values = weight.codes.cpu().double()
    rows = torch.arange(weight.outputs) // weight.scale_rows
    groups = torch.arange(values.shape[1]) // (weight.group or values.shape[1])
    scales = weight.scales.cpu().double()[rows][:, groups]
    return (values * scales)[:, : weight.inputs]
