"""The part of TensorRT's Python bindings that streamdet calls, without a GPU; ONNX Runtime computes instead.

A plan is a JSON header and the ONNX file itself. Names and parameters are those of the real bindings: test_bindings
holds every one against the stubs generated from 10.16 and 11.4. What a real GPU does beyond that is not imitated.
Use `install` to put it in the place of `tensorrt`; `Faults` says what shall go wrong.
"""

from __future__ import annotations

import ctypes
import enum
import json
import sys
import threading
import types
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from fake_cuda import FakeDriver

MAGIC = b"fake-plan\n"


@dataclass
class Faults:
    """What shall go wrong."""

    parser: str | None = None  # what it says of the graph
    build: str | None = None
    reject_plans: int = 0  # the next so many
    contexts: bool = False  # none can be made
    enqueue: bool = False  # the next one fails
    missing: list[str] = field(default_factory=list)  # shapes that are said to be missing
    address: bool = False
    capture: bool = False  # something that must not happen while capturing
    data_dependent: bool = False
    hold: threading.Event | None = None  # one run does not end before it is set
    spared: int = 0  # runs that pass before one is held
    holding: threading.Event = field(default_factory=threading.Event)  # a run is being held
    lose_context: bool = False  # the next run breaks the GPU's context
    lose_after: tuple[int, int] | None = None  # that GPU's, after so many runs there
    cancel_seen: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def held_now(self) -> threading.Event | None:
        """The event that this run must wait for; None for all runs but one."""
        with self.lock:
            if self.hold is None:
                return None
            if self.spared > 0:
                self.spared -= 1
                return None
            hold, self.hold = self.hold, None
            return hold

    def lost_now(self, driver: FakeDriver) -> bool:
        """Whether this run breaks the GPU that it runs on."""
        with self.lock:
            if self.lose_after is None or driver.current_gpu() != self.lose_after[0]:
                return False
            gpu, left = self.lose_after
            self.lose_after = (gpu, left - 1)
            return left <= 0


@dataclass
class _World:
    driver: FakeDriver
    faults: Faults
    builds: int = 0
    contexts: int = 0


world: _World


class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self) -> None: ...

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def __init__(self) -> None: ...


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.Enum):
    VERSION_COMPATIBLE = 15


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class HardwareCompatibilityLevel(enum.Enum):
    NONE = 0
    AMPERE_PLUS = 1


class ProfilingVerbosity(enum.Enum):
    DETAILED = 2


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC = 0
    USER_MANAGED = 2


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    INT64 = 8


class Dims:  # not a tuple, and no iterator either
    def __init__(self, shape: Any) -> None:
        self._sizes = tuple(shape)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, arg0: int) -> int:
        return self._sizes[arg0]


class IHostMemory(bytearray):  # the real one is a buffer
    pass


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._content)


class IOptimizationProfile:
    def __init__(self) -> None:
        self._shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, input: str, min: Dims, opt: Dims, max: Dims) -> None:
        assert all(isinstance(shape, Dims) for shape in (min, opt, max))
        self._shapes[input] = [list(shape._sizes) for shape in (min, opt, max)]


class INetworkDefinition:
    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._model = b""


class ParserError:
    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network = network
        self._errors: list[str] = []

    def parse_from_file(self, model: str) -> bool:
        if world.faults.parser is not None:
            self._errors.append(world.faults.parser)
            return False
        with open(model, "rb") as stream:
            self._network._model = stream.read()
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return ParserError(self._errors[index])


class IBuilderConfig:
    def __init__(self) -> None:
        self.builder_optimization_level = 3
        self.profiling_verbosity: Any = None
        self.progress_monitor: Any = None
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
        self._flags: set[BuilderFlag] = set()
        self._profiles: list[IOptimizationProfile] = []
        self._cache: ITimingCache | None = None
        self._pools: dict[Any, int] = {}

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self._pools[pool] = pool_size

    def set_flag(self, flag: BuilderFlag) -> None:
        self._flags.add(flag)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if cache._content and not cache._content.startswith(_stamp().encode()):
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        for low, best, high in profile._shapes.values():
            if not all(a <= b <= c for a, b, c in zip(low, best, high, strict=True)):
                return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1


class Builder:
    def __init__(self, logger: ILogger) -> None:
        assert "cuInit" in world.driver.calls, "TensorRT was touched before the driver was asked"
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        if _major() < 11:
            assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        else:
            assert flags == 0
        return INetworkDefinition(flags)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
        if world.faults.build is not None:
            self._logger.log(ILogger.Severity.ERROR, world.faults.build)
            return None
        if not self._progress(config.progress_monitor):
            world.faults.cancel_seen = True
            return None
        world.builds += 1
        if config._cache is not None:
            config._cache._content = (_stamp() + f" after {world.builds} builds").encode()
        header = {
            "stamp": _stamp(),
            "compatible": BuilderFlag.VERSION_COMPATIBLE in config._flags,
            "any_gpu": config.hardware_compatibility_level is HardwareCompatibilityLevel.AMPERE_PLUS,
            "profile": config._profiles[0]._shapes,
            "workspace": config._pools.get(MemoryPoolType.WORKSPACE),
            "level": config.builder_optimization_level,
        }
        return IHostMemory(MAGIC + json.dumps(header).encode() + b"\n" + network._model)

    def _progress(self, monitor: Any) -> bool:
        monitor.phase_start("Building Engine", None, 2)
        for outer in range(2):
            inner = f"Step {outer}"
            monitor.phase_start(inner, "Building Engine", 4)
            for step in range(4):
                if not monitor.step_complete(inner, step):
                    return False
            monitor.phase_finish(inner)
            if not monitor.step_complete("Building Engine", outer):
                return False
        monitor.phase_finish("Building Engine")
        return True


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        assert "cuInit" in world.driver.calls, "TensorRT was touched before the driver was asked"
        self._logger = logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if world.faults.reject_plans:
            world.faults.reject_plans -= 1
            self._logger.log(
                ILogger.Severity.ERROR, "Serialization assertion safeVersionRead == safeSerializationVersion"
            )
            return None
        assert serialized_engine.startswith(MAGIC)
        header, _, model = serialized_engine[len(MAGIC) :].partition(b"\n")
        fields = json.loads(header)
        if fields["stamp"] != _stamp() and not (fields["compatible"] or fields["any_gpu"]):
            self._logger.log(ILogger.Severity.ERROR, "plan of another version or GPU")
            return None
        assert self.engine_host_code_allowed == fields["compatible"]
        return ICudaEngine(fields, model, self._logger)


class ICudaEngine:
    def __init__(self, fields: dict[str, Any], model: bytes, logger: ILogger) -> None:
        self._fields, self._logger = fields, logger
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._network = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._io = [(node, True) for node in self._network.get_inputs()]
        self._io += [(node, False) for node in self._network.get_outputs()]

    @property
    def num_io_tensors(self) -> int:
        return len(self._io)

    def get_tensor_name(self, index: int) -> str:
        return self._io[index][0].name

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if self._find(name)[1] else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        kind = self._find(name)[0].type.removeprefix("tensor(").removesuffix(")")
        return DataType[{"float16": "HALF"}.get(kind, kind.upper())]

    def get_tensor_shape(self, name: str) -> Dims:
        node = self._find(name)[0]
        return Dims(size if isinstance(size, int) else -1 for size in node.shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        assert profile_index == 0
        return [Dims(shape) for shape in self._fields["profile"][name]]

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        return 4096

    def create_execution_context(self, strategy: Any = ExecutionContextAllocationStrategy.STATIC) -> Any:
        if world.faults.contexts:
            self._logger.log(ILogger.Severity.ERROR, "out of memory")
            return None
        world.contexts += 1
        return IExecutionContext(self, strategy)

    def _find(self, name: str) -> tuple[Any, bool]:
        return next(pair for pair in self._io if pair[0].name == name)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine, strategy: Any) -> None:
        self._engine, self._strategy = engine, strategy
        self._shape: tuple[int, ...] | None = None
        self._profile: int | None = None
        self._addresses: dict[str, int] = {}
        self._scratch = strategy is not ExecutionContextAllocationStrategy.USER_MANAGED
        self._captured = False

    def _untouched(self) -> None:
        assert not self._captured, "a context was changed after a graph had been captured from it"

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._untouched()
        self._profile = profile_index
        return stream_handle in world.driver.streams

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._untouched()
        low, _, high = self._engine._fields["profile"][name]
        if not all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)):
            self._engine._logger.log(ILogger.Severity.ERROR, f"{list(shape)} lies outside of the profile")
            return False
        self._shape = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> Dims:
        if world.faults.data_dependent:
            return Dims((-1, 4))
        return Dims(self._run(np.zeros(self._input_shape(), np.uint8))[name].shape)

    def infer_shapes(self) -> list[str]:
        return world.faults.missing

    def set_device_memory(self, memory: int, size: int) -> None:
        self._untouched()
        assert world.driver.is_device(memory, size)
        self._scratch = True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._untouched()
        self._addresses[name] = memory
        return not world.faults.address

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self._scratch, "no memory for what lies between the layers"
        assert self._profile == 0
        names = {node.name for node, _ in self._engine._io}
        assert names == set(self._addresses), "every input and output needs an address"
        if world.faults.enqueue:
            world.faults.enqueue = False
            self._engine._logger.log(ILogger.Severity.ERROR, "enqueueV3: kernel launch failed")
            return False
        state = world.driver.streams[stream_handle]
        if state.capturing is not None:
            self._captured = True
            if world.faults.capture:
                state.invalidated = True
        world.driver.enqueue(stream_handle, self._execute)
        return True

    def _input_shape(self) -> tuple[int, ...]:
        assert self._shape is not None
        return self._shape

    def _execute(self) -> None:
        hold = world.faults.held_now()
        if hold is not None:
            world.faults.holding.set()
            hold.wait()
        if world.faults.lost_now(world.driver):
            world.driver.lose()
            return
        if world.faults.lose_context:
            world.driver.lose()
            return
        name = self._engine._io[0][0].name
        shape = self._input_shape()
        size = int(np.prod(shape))
        assert world.driver.is_device(self._addresses[name], size)
        picture = np.frombuffer(ctypes.string_at(self._addresses[name], size), np.uint8).reshape(shape)
        for output, array in self._run(picture).items():
            content = np.ascontiguousarray(array).tobytes()
            assert world.driver.is_device(self._addresses[output], len(content))
            ctypes.memmove(self._addresses[output], content, len(content))

    def _run(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        names = [node.name for node in self._engine._network.get_outputs()]
        arrays = self._engine._network.run(names, {self._engine._io[0][0].name: picture})
        return dict(zip(names, arrays, strict=True))


def _stamp() -> str:
    return f"{sys.modules['tensorrt'].__version__} on {world.driver.name}"


def _major() -> int:
    return int(str(sys.modules["tensorrt"].__version__).split(".")[0])


# What `import tensorrt` offers: every name is checked against the real bindings.
OFFERED = {
    kind.__name__: kind
    for kind in (
        ILogger,
        IProgressMonitor,
        NetworkDefinitionCreationFlag,
        BuilderFlag,
        MemoryPoolType,
        HardwareCompatibilityLevel,
        ProfilingVerbosity,
        TensorIOMode,
        ExecutionContextAllocationStrategy,
        DataType,
        Dims,
        IHostMemory,
        ITimingCache,
        IOptimizationProfile,
        INetworkDefinition,
        ParserError,
        OnnxParser,
        IBuilderConfig,
        Builder,
        Runtime,
        ICudaEngine,
        IExecutionContext,
    )
}


def module(version: str, driver: FakeDriver) -> types.ModuleType:
    """A module to stand for `tensorrt`, of that version, on that driver."""
    global world
    world = _World(driver, Faults())
    made = types.ModuleType("tensorrt")
    made.__dict__.update(OFFERED, __version__=version)
    return made
