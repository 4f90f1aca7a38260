"""What a training runs on: device, number format, threads."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from streamdet.errors import ConfigError
from streamdet.training.options import LearningOptions

_WORKERS_AT_MOST = 8


@dataclass(frozen=True)
class Hardware:
    """The decisions that `auto` left open."""

    device: torch.device
    dtype: torch.dtype  # of the network's arithmetic; weights are float32 everywhere
    workers: int
    threads: int

    @property
    def said(self) -> str:
        """For the log and the card."""
        name = (
            torch.cuda.get_device_name()
            if self.device.type == "cuda"
            else f"{self.threads} CPU thread{'s' if self.threads > 1 else ''}"
        )
        return f"{name}, {str(self.dtype).removeprefix('torch.')}"


def hardware_for(options: LearningOptions) -> Hardware:
    """Decide; ConfigError where what is asked for is not there."""
    has_gpu = torch.cuda.is_available()
    if options.device == "cuda" and not has_gpu:
        raise ConfigError(
            "torch sees no GPU",
            expected="device: cpu or auto",
            got="device: cuda",
            hint="nvidia-smi shows whether the driver works; the CPU wheel of torch knows no GPU",
        )
    device = torch.device("cuda" if has_gpu and options.device != "cpu" else "cpu")
    threads = options.threads or _threads()
    return Hardware(device, _dtype(options, device), _workers(options, device), threads)


def _threads() -> int:
    """Torch's own choice, one per core, shared with the other processes on this machine that learn with this one."""
    return max(1, torch.get_num_threads() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _dtype(options: LearningOptions, device: torch.device) -> torch.dtype:
    if options.precision == "auto":
        return torch.bfloat16 if _computes_in_bf16(device) else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[options.precision]


def _computes_in_bf16(device: torch.device) -> bool:
    """In hardware: emulated it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not tell
    return bool(has.get("amx_bf16") or has.get("avx512_bf16"))


def _workers(options: LearningOptions, device: torch.device) -> int:
    if options.workers is not None:
        return options.workers
    if device.type == "cpu":
        return 0  # the cores are busy; a thread beside the loop fills the gaps between its kernels
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(_WORKERS_AT_MOST, cores - 1))
