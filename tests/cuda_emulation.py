"""A CUDA device made of the CPU, at the level of torch's operators, for the code that needs a GPU.

`with emulated() as gpu:` makes "cuda" work in this process.  What it models: two devices (a storage
is on one of them; mixing them raises, as on a GPU), the current stream, host synchronization, reads
of what another stream may still be writing (`hazards`), allocated bytes and cuBLAS's workspaces,
running out of memory, events that are not done at once, and CUDA graphs.  A capture executes
nothing: what it writes is undone at its end.  A replay executes the recorded operators on the same
memory, and fails if memory that the graph reads has been freed.  Host reads, events and
synchronization inside a capture raise.

Its kernels are the CPU's: it shows nothing of speed, of cuDNN's choice, or of memory reused within
a graph's pool (here each of a graph's tensors keeps its own place).
"""

import collections
import contextlib
import time
import weakref
from types import SimpleNamespace
from unittest import mock

import torch
import torch._dynamo  # before torch.Generator is replaced
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
GENERATOR, AUTOCAST = torch.Generator, torch.autocast
GROUPED = torch.optim.Optimizer._group_tensors_by_device_and_dtype
TURNS_OF_AN_EVENT = 2  # it answers "not yet" so often
NOT_CAPTURABLE = "CUDA error: operation not permitted when stream is capturing"
PRODUCTS = {"aten::addmm", "aten::mm", "aten::bmm", "aten::linear", "aten::baddbmm"}


class Machine:
    """The state of the emulated GPU.

    total, workspace: bytes of its memory, and of cuBLAS's workspace for each stream and thread.
    counts: of operators, captures, replays, host_reads, memory_asked...
    """

    def __init__(self, total=80 << 30, workspace=128 << 10):
        self.total, self.workspace = total, workspace
        self.sizes, self.written = {}, {}  # by storage: bytes; stream and time of its last write
        self.in_graphs = set()
        self.time = self.allocated = self.graphs = self.peak = self.streams = self.current = 0
        self.synced, self.counts = collections.Counter(), collections.Counter()
        self.hazards, self.workspaces, self.capture = set(), set(), None
        self.fail_capture = self.broken = False
        self.making = 0

    def own(self, tensor):
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.sizes:
            return
        size = -(-max(storage.nbytes(), 1) // 512) * 512
        if self.allocated + self.graphs + size > self.total:
            self.counts["out_of_memory"] += 1
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.sizes[key] = size
        weakref.finalize(storage, self.free, key)
        if self.capture:
            self.capture.internal.add(key)
        self.hold(size)
        self.written[key] = self.current, self.time

    def hold(self, size):
        self.allocated += size
        self.peak = max(self.peak, self.allocated)

    def free(self, key):
        size = self.sizes.pop(key)
        del self.written[key]
        if key in self.in_graphs:
            self.in_graphs.remove(key)
            self.graphs -= size
        else:
            self.allocated -= size

    def read(self, key, name):
        stream, when = self.written[key]
        if stream != self.current and when > self.synced[stream]:
            self.hazards.add(f"{name} on stream {self.current} reads from stream {stream}")

    def wait(self, stream=None, until=None):
        if self.broken:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if self.capture:
            raise RuntimeError(NOT_CAPTURABLE)
        for number in range(self.streams + 1) if stream is None else (stream,):
            self.synced[number] = max(self.synced[number], self.time if until is None else until)


MACHINE = Machine()


def key_of(tensor):
    return tensor.untyped_storage()._cdata


def on_gpu(tensor):
    return key_of(tensor) in MACHINE.sizes


def means_gpu(device):
    return isinstance(device, str | torch.device) and torch.device(device).type == "cuda"


class Functions(TorchFunctionMode):
    """What torch's functions say of devices."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        kwargs.pop("pin_memory", None)
        if func == torch.Tensor.device.__get__:
            return GPU if on_gpu(args[0]) else func(*args)
        if func == torch.Tensor.is_cuda.__get__:
            return on_gpu(args[0])
        if func is torch.Tensor.numpy and on_gpu(args[0]):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        if func is torch.Tensor.tolist and on_gpu(args[0]):
            MACHINE.wait(MACHINE.current)
        if func in (torch.Tensor.to, torch.Tensor.cpu):
            return self.moved(func, args, kwargs)
        gpu = means_gpu(kwargs.get("device"))
        if gpu:
            kwargs["device"] = "cpu"
        MACHINE.making += gpu  # so that a capture records what fills the new tensor
        try:
            result = func(*args, **kwargs)
        finally:
            MACHINE.making -= gpu
        if gpu:
            MACHINE.own(result)
        return result

    def moved(self, func, args, kwargs):
        tensor, here = args[0], on_gpu(args[0])
        given = [*args[1:], *([kwargs["device"]] if kwargs.get("device") else [])]
        wanted = here
        for value in given:
            if isinstance(value, str | torch.device):
                wanted = means_gpu(value)
            elif isinstance(value, torch.Tensor):
                wanted = on_gpu(value)
        if func is torch.Tensor.cpu:
            result, wanted = tensor, False
        else:
            rest = ["cpu" if means_gpu(value) else value for value in args[1:]]
            changed = {n: "cpu" if means_gpu(value) else value for n, value in kwargs.items()}
            result = func(tensor, *rest, **changed)
        if wanted == on_gpu(result):
            return result
        MACHINE.wait(MACHINE.current)  # memory of a host that is not page-locked
        with _disable_current_modes():
            copied = torch.empty_strided(result.size(), result.stride(), dtype=result.dtype)
            copied.copy_(result.detach())
        if wanted:
            MACHINE.own(copied)
        return copied.requires_grad_(tensor.requires_grad and tensor.is_leaf)


class Operators(TorchDispatchMode):
    """What each operator reads and writes, and on which device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, name, machine = kwargs or {}, func._schema.name, MACHINE
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        here = [t for t in tensors if on_gpu(t)]
        if not (here or (machine.making and machine.capture)) or name.startswith("profiler::"):
            return func(*args, **kwargs)
        machine.time += 1
        machine.counts["operators"] += 1
        if name == "aten::_local_scalar_dense":
            machine.counts["host_reads"] += 1
            machine.wait(machine.current)
        if any(not on_gpu(t) and t.dim() > 0 for t in tensors):
            if name not in ("aten::copy_", "aten::_to_copy", "aten::set_", "aten::scatter_"):
                raise RuntimeError(f"Expected all tensors to be on the same device: {name}")
            if name != "aten::copy_" or not on_gpu(args[0]):
                machine.wait(machine.current)
        stream_and_thread = machine.current, torch._C._current_graph_task_id() != -1
        if name in PRODUCTS and stream_and_thread not in machine.workspaces:
            machine.workspaces.add(stream_and_thread)
            machine.hold(machine.workspace)
        mutated = written(func, args, kwargs)
        for t in (*here, *(t for t in mutated if on_gpu(t))):
            machine.read(key_of(t), name)
        if machine.capture:
            machine.capture.before(mutated, kwargs.get("generator"), name)
        out = func(*args, **kwargs)
        for t in tree_leaves(out):
            if isinstance(t, torch.Tensor):
                machine.own(t)
        for t in mutated:
            machine.own(t)
            machine.written[key_of(t)] = machine.current, machine.time
        if machine.capture:
            machine.capture.record(func, args, kwargs, out, name)
        return out


def written(func, args, kwargs):
    """The tensors that an operator changes in place."""
    found = []
    for index, argument in enumerate(func._schema.arguments):
        value = args[index] if index < len(args) else kwargs.get(argument.name)
        changes = argument.alias_info is not None and argument.alias_info.is_write
        statistics = argument.name.startswith("running_") and "backward" not in func._schema.name
        if changes or ("batch_norm" in func._schema.name and statistics):
            found += [t for t in tree_leaves(value) if isinstance(t, torch.Tensor)]
    return found


class Address:
    """A graph's tensor in memory that is not the graph's: it does not keep it from being freed."""

    def __init__(self, tensor, name):
        self.storage = weakref.ref(tensor.untyped_storage())
        self.layout = tensor.storage_offset(), tensor.size(), tensor.stride()
        self.dtype, self.name = tensor.dtype, name

    def __call__(self):
        storage = self.storage()
        if storage is None:
            raise RuntimeError(f"a graph reads memory that was freed: {self.name} {self.layout}")
        return torch.empty(0, dtype=self.dtype).set_(storage, *self.layout)


class Graph:
    """torch.cuda.CUDAGraph."""

    def __init__(self):
        self.generators, self.log, self.internal, self.undo = [], [], set(), {}

    def register_generator_state(self, generator):
        self.generators.append(generator)

    def pool(self):
        return (1, id(self))

    def capture_begin(self, pool=None, capture_error_mode="global"):
        if MACHINE.current == 0:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        assert capture_error_mode == "thread_local"
        self.states = [generator.get_state() for generator in self.generators]
        self.inference = False
        MACHINE.capture = self

    def before(self, mutated, generator, name):
        known = [g.get_state() for g in self.generators]
        if generator is not None and not any(torch.equal(generator.get_state(), k) for k in known):
            raise RuntimeError(f"{name}: a generator that is not registered")
        for t in mutated:
            if key_of(t) not in self.internal and key_of(t) not in self.undo:
                storage = t.untyped_storage()
                self.undo[key_of(t)] = storage, storage.clone()

    def record(self, func, args, kwargs, out, name):
        self.inference |= torch.is_inference_mode_enabled()

        def kept(value):
            if not isinstance(value, torch.Tensor):
                return value
            return value.detach() if key_of(value) in self.internal else Address(value, name)

        self.log.append((func, tree_map(kept, args), tree_map(kept, kwargs), tree_map(kept, out)))

    def capture_end(self):
        machine, MACHINE.capture = MACHINE, None
        for storage, before in self.undo.values():
            storage.copy_(before)
        self.undo.clear()
        for generator, state in zip(self.generators, self.states, strict=True):
            generator.set_state(state)
        for key in self.internal & machine.sizes.keys():
            machine.in_graphs.add(key)
            machine.graphs += machine.sizes[key]
            machine.allocated -= machine.sizes[key]
        machine.counts["captures"] += 1
        if machine.fail_capture:
            raise RuntimeError("CUDA error: capture invalidated\nCompile with TORCH_USE_CUDA_DSA")

    def replay(self):
        def given(value):
            return value() if isinstance(value, Address) else value

        MACHINE.counts["replays"] += 1
        MACHINE.time += 1
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode(self.inference))
            stack.enter_context(_disable_current_modes())
            stack.enter_context(torch._C._AutoDispatchBelowAutograd())
            for func, args, kwargs, outs in self.log:
                fresh = tree_leaves(func(*tree_map(given, args), **tree_map(given, kwargs)))
                for new, old in zip(fresh, tree_leaves(outs), strict=True):
                    if isinstance(old, torch.Tensor) and not on_gpu(new):
                        old.copy_(new)
        for value in tree_leaves([entry[1:] for entry in self.log]):
            if isinstance(value, torch.Tensor):
                MACHINE.written[key_of(value)] = MACHINE.current, MACHINE.time


class Event:
    """torch.cuda.Event; it is done after it was asked for some turns."""

    def __init__(self, enable_timing=False):
        self.asked = 0

    def record(self):
        if MACHINE.capture:
            raise RuntimeError(NOT_CAPTURABLE)
        MACHINE.time += 1
        self.stream, self.at, self.seconds = MACHINE.current, MACHINE.time, time.perf_counter()

    def query(self):
        if MACHINE.capture:
            raise RuntimeError(NOT_CAPTURABLE)
        self.asked += 1
        if self.asked > TURNS_OF_AN_EVENT:
            MACHINE.wait(self.stream, self.at)
        return self.asked > TURNS_OF_AN_EVENT

    def synchronize(self):
        MACHINE.wait(self.stream, self.at)

    def elapsed_time(self, other):
        return 1000 * (other.seconds - self.seconds)


class Stream:
    """torch.cuda.Stream: there are 32 of them, given out in turn."""

    def __init__(self, device=None):
        self.number = MACHINE.streams % 32 + 1
        MACHINE.streams += 1


@contextlib.contextmanager
def in_stream(stream):
    before, MACHINE.current = MACHINE.current, stream.number
    try:
        yield
    finally:
        MACHINE.current = before


def grouped(lists, with_indices=False):
    """By device and type; the C++ of it tells the CPU, and Adam looks its rate up by the device."""
    return {
        (GPU if on_gpu(group[0][0][0]) else device, dtype): group
        for (device, dtype), group in GROUPED(lists, with_indices).items()
    }


def healthy(optimizer):
    if MACHINE.capture and not all(group["capturable"] for group in optimizer.param_groups):
        raise RuntimeError("graph capture of step(), but capturable is False")


def reset_peak(device=None):
    MACHINE.peak = MACHINE.allocated


def memory_info(device=None):
    MACHINE.counts["memory_asked"] += 1
    return MACHINE.total - MACHINE.allocated - MACHINE.graphs, MACHINE.total


def nothing(*_, **__):
    return None


CUDA = {
    "is_available": lambda: True,
    "device_count": lambda: 1,
    "get_device_name": lambda device=None: "an emulated GPU",
    "get_device_capability": lambda device=None: (9, 0),
    "get_device_properties": lambda device=None: SimpleNamespace(uuid="1"),
    "is_bf16_supported": lambda including_emulation=True: True,
    "Stream": Stream,
    "stream": in_stream,
    "Event": Event,
    "CUDAGraph": Graph,
    "synchronize": lambda device=None: MACHINE.wait(),
    "reset_peak_memory_stats": reset_peak,
    "memory_allocated": lambda device=None: MACHINE.allocated,
    "max_memory_allocated": lambda device=None: MACHINE.peak,
    "memory_reserved": lambda device=None: MACHINE.allocated + MACHINE.graphs,
    "mem_get_info": memory_info,
    "get_rng_state": lambda device=None: torch.zeros(16, dtype=torch.uint8),
    "device": lambda device: contextlib.nullcontext(),
    **dict.fromkeys(("set_device", "manual_seed", "set_rng_state", "empty_cache"), nothing),
    "default_generators": (torch.default_generator,),  # its kernels are the CPU's
}


@contextlib.contextmanager
def emulated(**machine):
    """ "cuda" works inside the block; yields the machine that tells what was done."""
    global MACHINE
    from problems.datasets.final_splits import open_final_splits
    from problems.datasets.splits import open_splits
    from problems.training.gpu_use import streams_of

    caches = (open_splits, open_final_splits, streams_of)
    MACHINE = Machine(**machine)
    optimizer = "torch.optim.Optimizer."
    with contextlib.ExitStack() as stack:
        for name, value in CUDA.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        for target, value in {
            "torch.Generator": lambda device="cpu": GENERATOR(),
            "torch.autocast": lambda kind, *a, **k: AUTOCAST("cpu", *a, **k),
            optimizer + "_group_tensors_by_device_and_dtype": staticmethod(grouped),
            optimizer + "_accelerator_graph_capture_health_check": healthy,
            "torch.nn.utils.clip_grad._group_tensors_by_device_and_dtype": grouped,
        }.items():
            stack.enter_context(mock.patch(target, value))
        for cache in caches:
            cache.cache_clear()
        stack.enter_context(Functions())
        stack.enter_context(Operators())
        try:
            yield MACHINE
        finally:
            torch.use_deterministic_algorithms(False)
            torch.utils.deterministic.fill_uninitialized_memory = True
            torch.set_float32_matmul_precision("highest")
            for cache in caches:
                cache.cache_clear()
