"""What a config.json's `quantization_config` says of the weights' format; for `config.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from ..kernels.float8 import SQUARE

Refuse = Callable[[str], NoReturn]

_BLOCKS: Final = [SQUARE, SQUARE]
_ADVICE: Final = "use the unquantized weights, and --quantization to round them here"


def stores_float8(found: object, refuse: Refuse) -> bool:
    """Whether linear layers are 8-bit floats with scales beside them; False where they are plain.
    Other formats are refused. found: the value of `quantization_config`, None where it has none."""
    if found is None:
        return False
    if not isinstance(found, dict):
        refuse(f"quantization_config must be an object, not {found!r}")
    method = found.get("quant_method")
    if method == "fp8":
        _check_blocks(found.get("weight_block_size"), refuse)
        if (form := found.get("fmt", "e4m3")) != "e4m3":
            refuse(f"quantization_config has 8-bit floats of format {form!r}; 'e4m3' is supported")
    elif method == "compressed-tensors":
        _check_groups(found.get("config_groups"), refuse)
    else:
        refuse(
            f"quantization_config has quant_method {method!r}: of quantized checkpoints only those "
            f"in 8-bit floats ('fp8', 'compressed-tensors') are supported; {_ADVICE}"
        )
    return True


def _check_groups(groups: object, refuse: Refuse) -> None:
    if not isinstance(groups, dict) or not groups:
        refuse(f"quantization_config's config_groups must be an object of groups, not {groups!r}")
    for group in groups.values():
        weights: Any = group.get("weights") if isinstance(group, dict) else None
        if not isinstance(weights, dict):
            refuse(f"quantization_config has a group without weights: {group!r}")
        kind, bits = weights.get("type"), weights.get("num_bits")
        if (kind, bits) != ("float", 8):
            refuse(
                f"quantization_config has weights of type {kind!r} with {bits!r} bits: of "
                f"quantized checkpoints only those in 8-bit floats are supported; {_ADVICE}"
            )
        _check_blocks(weights.get("block_structure"), refuse)


def _check_blocks(size: object, refuse: Refuse) -> None:
    if size is not None and size != _BLOCKS:
        refuse(f"quantization_config has a scale per block of {size!r}; {_BLOCKS} is supported")
