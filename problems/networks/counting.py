"""Counts any module on torch's meta device, where tensors have shapes and no values.

It is built and run there once, on one image.  Multiply-accumulates are those of torch's own
`flop_registry`, halved: of convolutions and matrix products, whichever module or function calls
them.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from problems.first_line import first_line
from problems.networks.dropout import Dropout

# What torch says when a plane has become smaller than a window.
COLLAPSED = re.compile(
    r"Kernel size can't be greater than actual input size|Output size is too small"
    r"|Padding size should be less than|Expected more than 1 spatial element"
    r"|Expected more than 1 value per channel"
)
aten = torch.ops.aten
CONVOLUTIONS = {aten.convolution, aten._convolution}
# Products that torch's registry does not count.
UNCOUNTED = {
    *(aten.mv, aten.addmv, aten.dot, aten.vdot, aten.addr),
    *(aten._cdist_forward, aten._trilinear),
}
NORMS = {
    "BatchNorm": "batch norm",
    "GroupNorm": "group norm",
    "LayerNorm": "layer norm",
    "InstanceNorm": "instance norm",
}
NAMES = {"GlobalMean": "global average pool", "ChannelsLastFlatten": "flatten"}
TIMES = "\N{MULTIPLICATION SIGN}"

Row = tuple[str, str, tuple[int, ...], int, int]  # name, kind, output shape, params, macs


@dataclass(frozen=True)
class Counted:
    """What a network costs, by the names of a measurement, and its layers for a person.

    refusal: why there is no such network; then there are no totals.  wrong: whether that is an
    error of the code that makes it, and no property of the genome.
    """

    totals: Mapping[str, int]
    rows: tuple[Row, ...] = ()
    refusal: str = ""
    wrong: bool = False


def counted_module(
    make: Callable[[], nn.Module],
    image_shape: tuple[int, ...],
    classes: int,
    said: str,
    training: bool = False,
) -> Counted:
    """What the module that `make` returns costs, or why it is none.

    said: what makes it, for the messages.  training: run it as in a training too, where it may
    return something else.
    """
    try:
        network = on_meta(make)
    except ValueError as error:
        return Counted({}, refusal=first_line(error))
    except Exception as error:  # whatever somebody's own code does
        return _wrong(f"{said}: {type(error).__name__}: {first_line(error)}")
    if not any(True for _ in network.parameters()):
        return _wrong(f"{said}: its module {type(network).__name__} has no parameters to train")
    held = network.state_dict()
    for name, value in held.items():
        if not isinstance(value, torch.Tensor):
            return _wrong(
                f"{said}: the state of its module holds {name!r}, a {type(value).__name__}; "
                "only tensors can be saved"
            )
    ledger = _Ledger(network)
    for train in (True, False) if training else (False,):
        network.train(train)
        ledger.begin()
        images = torch.empty(2 if train else 1, *image_shape, device="meta")
        try:
            with torch.no_grad(), ledger.hooked():
                logits = network(images)
        except _Uncountable as error:
            return _wrong(f"{said}: {error}")
        except Exception as error:
            where = type(ledger.running).__name__
            if added := network.state_dict().keys() - held.keys():
                return _wrong(_grown(said, added))
            if isinstance(error, RuntimeError | ValueError) and COLLAPSED.search(str(error)):
                return Counted({}, refusal=f"{where}: {first_line(error)}")
            if isinstance(error, NotImplementedError) or "meta" in str(error).lower():
                return _wrong(
                    f"{said}: its module {where} cannot be counted, because it cannot be run "
                    f"without the values of an image: {first_line(error)}"
                )
            given = f", given {ledger.taken}" if ledger.taken else ""
            return _wrong(
                f"{said}: its module {where}{given}: {type(error).__name__}: {first_line(error)}"
            )
        if added := network.state_dict().keys() - held.keys():
            return _wrong(_grown(said, added))
        if not isinstance(logits, torch.Tensor):
            return _wrong(
                f"{said}: its module returned a {type(logits).__name__}; logits (N, {classes}) "
                "are needed"
            )
        if tuple(logits.shape) != (len(images), classes):
            shape = ", ".join(["N", *map(str, logits.shape[1:])])
            return _wrong(
                f"{said}: its module returned logits ({shape}) for {classes} classes; "
                f"(N, {classes}) are needed"
            )
        if not logits.is_floating_point():
            return _wrong(
                f"{said}: its module returned logits of {logits.dtype}; floating-point numbers are "
                "needed"
            )
    return ledger.counted(image_shape)


def _grown(said: str, added: Collection[str]) -> str:
    """What is wrong with a module whose state grows when it is run."""
    return (
        f"{said}: its module makes {min(added)!r} only when it is run, too late to be trained and "
        "saved; make all of it in __init__, or take torch.nn.LazyBatchNorm2d and its like"
    )


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` returns, on the meta device; on the CPU first if its values are looked at."""
    try:
        with torch.device("meta"):
            return make().to("meta")
    except (RuntimeError, NotImplementedError):
        with torch.random.fork_rng(devices=[]):
            return make().to("meta")


def _wrong(reason: str) -> Counted:
    return Counted({}, refusal=reason, wrong=True)


class _Uncountable(Exception):
    """A module does what cannot be counted; the message names its class."""


@dataclass(eq=False)
class _Call:
    """One call of one module."""

    module: nn.Module
    taken: tuple[int, ...] = ()
    given: tuple[int, ...] = ()
    numbers: int = 0  # in its input and output together
    params: int = 0
    macs: int = 0


@dataclass(eq=False)
class _Ledger(TorchDispatchMode):
    """Takes down what each module of a network costs while it runs."""

    network: nn.Module
    calls: list[_Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not say
        self._open: list[_Call] = []
        self._parameters = {_storage(p): p for p in self.network.parameters()}
        self._kinds: dict[int, str] = {}  # of parameters: "conv" or "fc"
        self._weights: set[int] = set()  # of convolutions and matrix products
        self._owned: set[int] = set()
        # What a weight or spectral norm makes of parameters, and these; held, or its place in
        # memory would be that of another tensor.
        self._made: dict[int, tuple[torch.Tensor, list[int]]] = {}

    def begin(self) -> None:
        self.calls, self._open = [], []
        for store in (self._kinds, self._weights, self._owned, self._made):
            store.clear()

    @property
    def running(self) -> nn.Module:
        return self._open[-1].module if self._open else self.network

    @property
    def taken(self) -> tuple[int, ...]:
        """The shape of what the running module was given, of one image."""
        return self._open[-1].taken if self._open else ()

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Hear of each call of each module."""
        with ExitStack() as hooks, self:
            for module in self.network.modules():
                for hook in (
                    module.register_forward_pre_hook(self._enters, with_kwargs=True),
                    module.register_forward_hook(self._leaves),
                ):
                    hooks.callback(hook.remove)
            yield

    def _enters(self, module: nn.Module, arguments: Any, named: Any) -> None:
        call = _Call(module)
        tensors = _tensors((arguments, named))
        call.taken = tuple(tensors[0].shape[1:]) if tensors else ()
        call.numbers = sum(tensor.numel() for tensor in tensors)
        self._open.append(call)

    @property
    def _makes_a_weight(self) -> bool:
        """Whether it is no work on an image that is being done."""
        return any(isinstance(call.module, ParametrizationList) for call in self._open)

    def _leaves(self, module: nn.Module, arguments: Any, output: Any) -> None:
        within = self._makes_a_weight
        call = self._open.pop()
        tensors = _tensors(output)
        if isinstance(module, ParametrizationList):
            of = [_storage(parameter) for parameter in module.parameters()]
            self._made |= {_storage(tensor): (tensor, of) for tensor in tensors}
        if within:
            return
        call.given = tuple(tensors[0].shape[1:]) if tensors else ()
        call.numbers += sum(tensor.numel() for tensor in tensors)
        own = {_storage(parameter): parameter for parameter in _own_parameters(module)}
        call.params = sum(p.numel() for key, p in own.items() if key not in self._owned)
        self._owned |= set(own)
        if call.macs and (kinds := {self._kinds[key] for key in own if key in self._kinds}):
            for key in own:  # a bias that was added by itself
                self._kinds.setdefault(key, min(kinds))
        if call.params or call.macs or not any(True for _ in module.children()):
            self.calls.append(call)

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        named = named or {}
        packet = operation._overloadpacket
        if packet in UNCOUNTED and not self._makes_a_weight:
            raise _Uncountable(
                f"its module {type(self.running).__name__} cannot be counted: it uses {packet}; "
                "torch.matmul of matrices can be counted"
            )
        if packet not in flop_registry and operation is not torch.ops.prim.device.default:
            with self:
                decomposed = operation.decompose(*arguments, **named)
            if decomposed is not NotImplemented:
                return decomposed
        output = operation(*arguments, **named)
        if packet in flop_registry and not self._makes_a_weight:
            flops = flop_registry[packet](*arguments, **named, out_val=output)
            if self._open:
                self._open[-1].macs += flops // 2
            kind = "conv" if packet in CONVOLUTIONS else "fc"
            for tensor in _tensors((arguments, named)):
                key = _storage(tensor)
                of = self._made[key][1] if key in self._made else [key]
                known = [key for key in of if key in self._parameters]
                self._kinds |= dict.fromkeys(known, kind)
                if any(self._parameters[key].dim() > 1 for key in known):
                    self._weights.add(known[0])  # a weight is made anew at each of its uses
        return output

    def counted(self, image_shape: tuple[int, ...]) -> Counted:
        largest = prod(image_shape)
        for call in self.calls:
            if call.macs or call.taken != call.given:  # what is done to each value is in place
                largest = max(largest, call.numbers)
        params = sum(parameter.numel() for parameter in self._parameters.values())
        of_kind = {
            kind: sum(self._parameters[key].numel() for key, k in self._kinds.items() if k == kind)
            for kind in ("conv", "fc")
        }
        totals = {
            "params": params,
            "conv_params": of_kind["conv"],
            "fc_params": of_kind["fc"],
            "macs": sum(call.macs for call in self.calls),
            "layers": len(self._weights),
            "memory_bytes": 4 * (params + largest),
        }
        return Counted(totals, tuple(_rows(self.calls)))


def _own_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Those of a module itself, and those that its weights are made of."""
    yield from module.parameters(recurse=False)
    if isinstance(made := getattr(module, "parametrizations", None), nn.ModuleDict):
        yield from made.parameters()


def _rows(calls: list[_Call]) -> list[Row]:
    """A row for each call, but what follows a layer and keeps its shape joins its row."""
    rows: list[Row] = []
    for call in calls:
        name, kind = _said(call)
        if kind == "other" and call.taken == call.given and not call.macs:
            if name == "identity" or (isinstance(call.module, Dropout) and not rows):
                continue
            if rows and rows[-1][2] == call.given:
                before, same, shape, params, macs = rows[-1]
                rows[-1] = (f"{before}, {name}", same, shape, params + call.params, macs)
                continue
        rows.append((name, kind, call.given, call.params, call.macs))
    return rows


def _said(call: _Call) -> tuple[str, str]:
    """A module for a person, and its kind."""
    module = call.module
    name = type(module).__name__
    match module:
        case nn.modules.conv._ConvNd():
            kernel = TIMES.join(map(str, module.kernel_size))
            parts = [f"{'transposed ' if module.transposed else ''}conv {module.out_channels}"]
            parts += [kernel]
            if max(module.stride) > 1:
                parts.append(f"stride {max(module.stride)}")
            if max(module.dilation) > 1:
                parts.append(f"dilation {max(module.dilation)}")
            if module.groups > 1:
                whole = module.groups == module.in_channels
                parts.append("depthwise" if whole else f"{module.groups} groups")
            return ", ".join(parts), "conv"
        case nn.Linear():
            return f"linear {module.out_features}", "linear"
        case Dropout():
            return f"dropout {module.probability:g}", "other"
    for start, said in NORMS.items():
        if name.startswith(start):
            return said, "other"
    said = NAMES.get(
        name, re.sub(r"(?<=[a-z])(?=[A-Z][a-z]+Pool|Pool)|\dd$", " ", name).strip().lower()
    )
    if "pool" in said:
        size = getattr(module, "kernel_size", None)
        sides = size if isinstance(size, tuple) else (size, size)
        said = said if size is None else f"{said} {TIMES.join(map(str, sides))}"
        return said.replace("avg", "average"), "pool"
    return said, "conv" if call.macs and len(call.given) > 1 else "other"


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _storage(tensor: torch.Tensor) -> int:
    """What a tensor shares with its views."""
    return int(tensor.untyped_storage()._cdata)
