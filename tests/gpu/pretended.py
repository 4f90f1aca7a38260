"""A machine with a GPU and a TensorRT that are not there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import fake_tensorrt
from fake_cuda import FakeDriver

from streamdet import infer

VERSIONS = ("10.16.1.11", "11.4.0.106")


@dataclass
class Machine:
    """The pretended machine of a test: its driver, and what TensorRT shall do wrong."""

    driver: FakeDriver
    faults: fake_tensorrt.Faults

    @property
    def builds(self) -> int:
        """How many plans TensorRT has built."""
        return fake_tensorrt.world.builds


MakeMachine = Callable[..., Machine]


def forget() -> None:
    """What was imported on a pretended TensorRT must not outlive it."""
    for name in ("tensorrt_calls", "tensorrt_session"):
        sys.modules.pop(f"streamdet.infer.{name}", None)
        vars(infer).pop(name, None)
