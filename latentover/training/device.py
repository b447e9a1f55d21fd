"""Which device a fit runs on, and in which precision."""

from contextlib import AbstractContextManager
from typing import Literal, get_args

import torch

Precision = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device that `device` names; ``"auto"`` is CUDA where there is one, otherwise the CPU.

    Raises
    ------
    ValueError
        If the name is unknown or this machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        hint = "; a GPU is 'cuda'" if "gpu" in str(device).lower() else _why(error)
        raise ValueError(
            "Expected device to be 'auto', 'cpu' or a device of this machine such as 'cuda:0', but got "
            f"{device!r}{hint}."
        ) from error
    return resolved


def _why(error: Exception) -> str:
    """Return what torch says of a device that it knows; of a name that it does not know it lists dozens."""
    text = str(error).splitlines()[0]
    return "" if text.startswith("Expected one of") else f" ({text.rstrip('.')})"


def resolve_precision(precision: str, device: torch.device, *, images: bool) -> torch.dtype:
    """Return the type in which the forward and backward passes of a fit run.

    ``"auto"`` is bfloat16 for images where the hardware computes in it, and float32 elsewhere: the values of a table
    need more than bfloat16's 8 bits. Predictions are always made in float32.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Expected precision to be one of {PRECISIONS}, but got {precision!r}.")
    if precision == "float32" or (precision == "auto" and not images):
        return torch.float32
    if precision == "bfloat16" or _has_bfloat16(device):
        return torch.bfloat16
    return torch.float32


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return a context in which the passes run in `dtype`; for float32 it does nothing."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which the passes run in float32, within one that runs them in less."""
    return torch.autocast(device.type, enabled=False)
