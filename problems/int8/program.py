"""The steps that an int8 runtime takes for a network: any torch module, lowered.

The module is traced into torch's own operations, and these are joined as a converter
joins them for TensorFlow Lite: batch norm goes into the convolution before it, ReLU into the step
before it, padding into the convolution after it where it pads as "same" does.  On the meta device
the tensors of a step have shapes and no values, which is enough to count it.
"""

import math
import operator
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from problems.networks.made_weights import with_made_weights

aten = torch.ops.aten
Shape = tuple[int, ...]

# What a fused ReLU may be, as the bounds of the values that it lets through.
FUSED = ((0.0, math.inf), (0.0, 6.0), (-1.0, 1.0))
RELUS = {aten.relu: (0.0, math.inf), aten.relu_: (0.0, math.inf)}
CLAMPS = {aten.hardtanh, aten.hardtanh_, aten.clamp, aten.clamp_}
ACTIVATIONS = {
    aten.tanh: "tanh",
    aten.tanh_: "tanh",
    aten.sigmoid: "sigmoid",
    aten.sigmoid_: "sigmoid",
    aten.gelu: "gelu",
    aten.hardswish: "hard_swish",
    aten.hardswish_: "hard_swish",
    aten.leaky_relu: "leaky_relu",
    aten.leaky_relu_: "leaky_relu",
}
NORMS = {
    aten.native_batch_norm,
    aten._native_batch_norm_legit_no_training,
    aten.batch_norm,
    aten.cudnn_batch_norm,
}
SAME_VALUES = {aten.clone, aten.detach, aten.alias, aten.contiguous, aten._to_copy}
VIEWS = {aten.view, aten._unsafe_view, aten.reshape, aten.squeeze, aten.unsqueeze}
ARITHMETIC = {
    aten.add: "add",
    aten.add_: "add",
    aten.sub: "sub",
    aten.sub_: "sub",
    aten.mul: "mul",
    aten.mul_: "mul",
    aten.div: "div",
    aten.div_: "div",
}
CHANNELS_LAST = [0, 2, 3, 1]
CLAMPING = ("conv", "linear", "add", "sub", "mul", "average_pool", "max_pool")
# Steps whose output has the scale of their input: they move numbers, or choose among them.
KEEP_SCALE = ("max_pool", "average_pool", "pad", "slice", "reshape", "transpose", "requantize")


class NoInt8(ValueError):
    """A network does something that no step of an int8 program is."""


@dataclass(frozen=True, eq=False)
class Step:
    """One operation of the runtime, on one image.

    kind: such as "conv"; inputs: the numbers of the values that it takes; output: that of the one
    it makes, (N, *shape).  weight: of a convolution (out, in / groups, height, width), of a linear
    layer (out, in), or a constant factor or summand for each channel (1, C, 1, 1).  clamp: the
    bounds of a ReLU that is part of the step.  told: what its kind needs beside.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    shape: Shape
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    clamp: tuple[float, float] = (-math.inf, math.inf)
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Program:
    """The steps of a network in the order in which they are taken; value 0 is the image."""

    image_shape: Shape
    steps: tuple[Step, ...]

    @property
    def shapes(self) -> dict[int, Shape]:
        """The shape of each value, without the images of a batch."""
        return {0: self.image_shape, **{step.output: step.shape for step in self.steps}}


def program_of(network: nn.Module, image_shape: Shape) -> Program:
    """The program of a network in eval mode, on the CPU or the meta device.

    Raises NoInt8, one line, for what it does that has no counterpart.
    """
    device = next(network.parameters()).device
    # In torch's own order of channels: in the one of a training, a pool of torch rearranges memory.
    network = with_made_weights(deepcopy(network).eval()).to(memory_format=torch.contiguous_format)
    images = torch.zeros(1, *image_shape, device=device)
    trace = _Trace(images)
    with torch.no_grad(), trace:
        logits = network(images)
    return _Lowering(trace, logits, tuple(image_shape)).program()


class _Trace(TorchDispatchMode):
    """Writes torch's own operations down while a network runs.

    `torch.fx.experimental.proxy_tensor.make_fx` would do, and takes ten times as long: a search
    counts many networks for each one that it trains.
    """

    def __init__(self, images: torch.Tensor):
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not say
        self.graph = Graph()
        self.constants: dict[Node, Any] = {}  # tensors that were there before
        # By identity: a tensor is compared by its values.  What is in it is kept alive by it.
        self._nodes: dict[int, tuple[Node, Any]] = {}
        self._know(images, self.graph.placeholder("images"))

    def node_of(self, tensor: torch.Tensor) -> Node:
        if id(tensor) not in self._nodes:
            node = self.graph.create_node("get_attr", "constant")
            self.constants[node] = tensor
            self._know(tensor, node)
        return self._nodes[id(tensor)][0]

    def _know(self, tensor: torch.Tensor, node: Node) -> None:
        node.meta["val"] = tensor
        self._nodes[id(tensor)] = (node, tensor)

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        named = named or {}
        is_tensor = torch.Tensor
        args, kwargs = tree_map_only(is_tensor, self.node_of, (tuple(arguments), dict(named)))
        made = operation(*arguments, **named)
        if operation is torch.ops.prim.device.default:
            return made
        node = self.graph.create_node("call_function", operation, args, kwargs)
        node.meta["val"] = made
        if isinstance(made, torch.Tensor):
            self._know(made, node)
        elif isinstance(made, list | tuple):
            for place, part in enumerate(made):
                if isinstance(part, torch.Tensor):
                    of_part = self.graph.create_node(
                        "call_function", operator.getitem, (node, place)
                    )
                    self._know(part, of_part)
        return made


class _Lowering:
    """Takes the nodes of a traced module in turn and makes steps of them."""

    def __init__(self, trace: _Trace, logits: torch.Tensor, image_shape: Shape):
        trace.graph.output(trace.node_of(logits))
        self.nodes, self.image_shape = list(trace.graph.nodes), image_shape
        self.steps: list[Step] = []
        self.values: dict[Node, int] = {}  # nodes that are values of the program
        self.constants = trace.constants  # nodes that are not computed from the image
        self.turned: set[Node] = set()  # values with their channels last, in torch's eyes
        self.pads: dict[Node, tuple[int, list[int]]] = {}  # not yet taken: a value and its padding
        self.uses = {
            node: sum(bool(user.users) or user.op == "output" for user in node.users)
            for node in self.nodes
        }

    def program(self) -> Program:
        for node in self.nodes:
            match node.op:
                case "placeholder":
                    self.values[node] = 0
                case "call_function":
                    self._take(node)
                case "output":
                    (made,) = arguments(node)
                    self._value(made)  # so that a padding is a step
        return Program(self.image_shape, tuple(_with_requantized_concatenations(self.steps)))

    def _take(self, node: Node) -> None:
        inputs = [node_of for node_of in node.all_input_nodes if node_of not in self.constants]
        if not inputs:
            if node.users:
                values = torch.fx.node.map_arg(node.args, lambda one: self.constants[one])
                assert callable(node.target)
                self.constants[node] = node.target(*values, **node.kwargs)
            return
        if node.target is operator.getitem:
            self._same(node, inputs[0])
            return
        packet = getattr(node.target, "overloadpacket", None)
        shape = self._shape(node)
        match packet:
            case aten.convolution:
                self._convolution(node, shape)
            case aten.addmm:
                self._linear(
                    node,
                    shape,
                    arguments(node)[1],
                    arguments(node)[2],
                    self._tensor(arguments(node)[0]),
                )
            case aten.mm:
                self._linear(node, shape, arguments(node)[0], arguments(node)[1], None)
            case aten.constant_pad_nd:
                self._pad(node, shape)
            case aten.max_pool2d_with_indices | aten.max_pool2d:
                self._pool(node, shape, "max_pool")
            case aten.avg_pool2d:
                self._pool(node, shape, "average_pool")
            case aten._adaptive_avg_pool2d | aten.mean:
                self._mean(node, shape)
            case aten.cat:
                parts, dim = (*arguments(node), 0)[:2]
                taken = tuple(self._value(part) for part in parts)
                self._add(node, Step("concatenate", taken, 0, shape, told={"dim": dim}))
            case aten.slice:
                self._slice(node, shape)
            case aten.silu | aten.silu_:
                source = self._value(inputs[0])
                gate = self._add(None, Step("sigmoid", (source,), 0, shape))
                self._add(node, Step("mul", (source, gate), 0, shape))
            case aten.permute | aten.transpose:
                self._permute(node, shape)
            case _ if packet in NORMS:
                self._norm(node, shape)
            case _ if packet in RELUS:
                self._clamp(node, inputs[0], shape, RELUS[packet])
            case _ if packet in CLAMPS:
                low, high = ([*arguments(node)[1:], None, None])[:2]
                bounds = (
                    -math.inf if low is None else float(low),
                    math.inf if high is None else float(high),
                )
                self._clamp(node, inputs[0], shape, bounds)
            case _ if packet in ACTIVATIONS:
                told = {"slope": (*arguments(node)[1:], 0.01)[0]} if "leaky" in str(packet) else {}
                if packet is aten.gelu:
                    told = {"approximate": node.kwargs.get("approximate", "none")}
                kind = ACTIVATIONS[packet]
                self._add(node, Step(kind, (self._value(inputs[0]),), 0, shape, told=told))
            case _ if packet in ARITHMETIC:
                self._arithmetic(node, shape, ARITHMETIC[packet])
            case _ if packet in SAME_VALUES or (
                packet in VIEWS and self._shape(inputs[0]) == shape
            ):
                self._same(node, inputs[0])
            case _ if packet in VIEWS:
                self._view(node, inputs[0], shape)
            case _:
                raise NoInt8(f"it computes {packet or node.target}, which has no int8 step")

    # What nodes are.

    def _shape(self, node: Node) -> Shape:
        made = node.meta["val"]
        made = made[0] if isinstance(made, list | tuple) else made
        return tuple(made.shape[1:])

    def _tensor(self, node: Any) -> torch.Tensor | None:
        """A constant; None for None."""
        if node is None:
            return None
        if node not in self.constants:
            raise NoInt8("it multiplies two values that it computed, or convolves with one")
        found: torch.Tensor = self.constants[node]
        return found

    def _value(self, node: Any) -> int:
        """The number of a value; a padding that nobody could take becomes a step."""
        if node in self.turned:
            raise NoInt8("it goes on computing with its channels last")
        if node in self.pads:
            source, padding = self.pads.pop(node)
            self._add(node, Step("pad", (source,), 0, self._shape(node), told={"padding": padding}))
        if node not in self.values:
            raise NoInt8("it returns a constant")
        return self.values[node]

    def _add(self, node: Node | None, step: Step) -> int:
        number = len(self.steps) + 1
        self.steps.append(replace(step, output=number))
        if node is not None:
            self.values[node] = number
        return number

    def _same(self, node: Node, source: Node) -> None:
        if source in self.values:
            self.values[node] = self.values[source]
        if source in self.pads:
            self.pads[node] = self.pads[source]
        if source in self.turned:
            self.turned.add(node)
        self.uses[node] = max(self.uses[node], self.uses[source])

    def _made_alone(self, source: Node) -> Step | None:
        """The step that made a value which only one node takes."""
        number = self.values.get(source)
        if number and number == len(self.steps) and self.uses[source] == 1:
            return self.steps[-1]
        return None

    def _replace(self, node: Node, step: Step) -> None:
        self.steps[-1] = step
        self.values[node] = step.output

    # What they become.

    def _convolution(self, node: Node, shape: Shape) -> None:
        source, weight, bias, stride, pads, dilation, transposed, _, groups = arguments(node)
        if transposed or len(shape) != 3:
            raise NoInt8("it has a transposed, one- or three-dimensional convolution")
        (high, wide) = _pair(pads)
        padding = [wide, wide, high, high]
        if source in self.pads:
            value, more = self.pads.pop(source)
            padding = [one + other for one, other in zip(padding, more, strict=True)]
        else:
            value = self._value(source)
        told = {
            "stride": _pair(stride),
            "padding": padding,
            "dilation": _pair(dilation),
            "groups": int(groups),
        }
        taken = self._taken(value)
        weights = self._tensor(weight)
        assert weights is not None
        step = Step("conv", (value,), 0, shape, weights, self._tensor(bias), told=told)
        if any(padding) and not _pads_as_same(step, taken):
            channels, height, width = taken
            left, right, top, bottom = padding
            padded = (channels, height + top + bottom, width + left + right)
            value = self._add(None, Step("pad", (value,), 0, padded, told={"padding": padding}))
            step = replace(step, inputs=(value,), told={**told, "padding": [0, 0, 0, 0]})
        self._add(node, step)

    def _taken(self, value: int) -> Shape:
        return self.steps[value - 1].shape if value else self.image_shape

    def _linear(
        self, node: Node, shape: Shape, source: Any, weight: Any, bias: torch.Tensor | None
    ) -> None:
        weights = self._tensor(weight)
        assert weights is not None
        self._add(node, Step("linear", (self._value(source),), 0, shape, weights.t(), bias))

    def _pad(self, node: Node, shape: Shape) -> None:
        source, padding, *value = arguments(node)
        if value and value[0]:
            raise NoInt8(f"it pads with {value[0]}")
        assert isinstance(padding, list | tuple)
        sides = [int(side) for side in padding] + [0] * (4 - len(padding))
        if len(sides) > 4 or any(side < 0 for side in sides):
            raise NoInt8("it pads its channels, or crops by padding")
        self.pads[node] = (self._value(source), sides)

    def _pool(self, node: Node, shape: Shape, kind: str) -> None:
        source, kernel, *rest = arguments(node)
        stride, padding, *more = ([*rest, None, None])[: max(2, len(rest))]
        if any(_pair(padding or 0)) or any(more[:2]):
            raise NoInt8("it pools with padding, dilation or a ceiling")
        told = {"kernel": _pair(kernel), "stride": _pair(stride or kernel)}
        self._add(node, Step(kind, (self._value(source),), 0, shape, told=told))

    def _mean(self, node: Node, shape: Shape) -> None:
        source, where = arguments(node)[:2]
        planes = self._shape(source)
        adaptive = "adaptive" in str(node.target)
        whole = all(side == 1 for side in _pair(where)) if adaptive else where in ([2, 3], [-1, -2])
        if len(planes) != 3 or not (whole or sorted(_listed(where)) in ([-2, -1], [2, 3])):
            raise NoInt8(f"it takes a mean over {where} that is not over whole planes")
        # The converter turns the planes for a mean as torch has them.
        value = self._value(source)
        if planes[1:] != (1, 1):
            value = self._add(None, Step("transpose", (value,), 0, planes))
        self._add(node, Step("mean", (value,), 0, shape))

    def _slice(self, node: Node, shape: Shape) -> None:
        given = arguments(node)
        given += [0, 0, None, 1][len(given) - 1 :]
        source, dim, start, end, step = given
        if shape == self._shape(source):
            self._same(node, source)
            return
        told = {"dim": dim, "start": start or 0, "end": end, "step": step}
        self._add(node, Step("slice", (self._value(source),), 0, shape, told=told))

    def _permute(self, node: Node, shape: Shape) -> None:
        source, *how = arguments(node)
        planes = self._shape(source)
        if how != [CHANNELS_LAST] or len(planes) != 3:
            raise NoInt8(f"it permutes its values by {how}")
        self.values[node] = self._value(source)
        self.turned.add(node)

    def _norm(self, node: Node, shape: Shape) -> None:
        source, weight, bias, mean, variance = arguments(node)[:5]
        epsilon = next(arg for arg in reversed(arguments(node)) if isinstance(arg, float))
        average, spread = self._tensor(mean), self._tensor(variance)
        if average is None or spread is None:
            raise NoInt8("it has a batch norm without running statistics")
        factor = torch.rsqrt(spread + epsilon)
        if (scales := self._tensor(weight)) is not None:
            factor = factor * scales
        summand = -average * factor
        if (shifts := self._tensor(bias)) is not None:
            summand = summand + shifts
        self._scaled(node, source, shape, factor, summand)

    def _scaled(
        self, node: Node, source: Node, shape: Shape, factor: torch.Tensor, summand: torch.Tensor
    ) -> None:
        """value * factor + summand, for each channel; in the step before it if that is linear."""
        before = self._made_alone(source)
        if before and before.kind in ("conv", "linear") and before.clamp == (-math.inf, math.inf):
            assert before.weight is not None
            weight = before.weight * factor.view(-1, *[1] * (before.weight.dim() - 1))
            bias = summand if before.bias is None else before.bias * factor + summand
            self._replace(node, replace(before, weight=weight, bias=bias))
            return
        sides = (1, -1, *[1] * (len(shape) - 1))
        value = self._add(
            None, Step("mul", (self._value(source),), 0, shape, weight=factor.view(sides))
        )
        self._add(node, Step("add", (value,), 0, shape, weight=summand.view(sides)))

    def _clamp(self, node: Node, source: Node, shape: Shape, bounds: tuple[float, float]) -> None:
        before = self._made_alone(source)
        fits = bounds in FUSED
        if before and fits and before.kind in CLAMPING and before.clamp == (-math.inf, math.inf):
            self._replace(node, replace(before, clamp=bounds))
        else:
            self._add(node, Step("relu", (self._value(source),), 0, shape, clamp=bounds))

    def _arithmetic(self, node: Node, shape: Shape, kind: str) -> None:
        if node.kwargs:
            raise NoInt8(f"it computes {node.target} with {dict(node.kwargs)}")
        left, right = arguments(node)
        nodes = [one for one in (left, right) if isinstance(one, Node) and one in self.values]
        if len(nodes) == 2:
            if kind == "div" or self._shape(nodes[0]) != self._shape(nodes[1]):
                raise NoInt8(f"it computes {node.target} of two values, or spreads one")
            values = (self._value(left), self._value(right))
            self._add(node, Step(kind, values, 0, shape))
            return
        (source,) = nodes
        constant = self._constant(right if source is left else left, shape)
        unchanged = torch.ones_like(constant), torch.zeros_like(constant)
        match kind, source is left:
            case "add", _:
                factor, summand = unchanged[0], constant
            case "sub", True:
                factor, summand = unchanged[0], -constant
            case "sub", False:
                factor, summand = -unchanged[0], constant
            case "mul", _:
                factor, summand = constant, unchanged[1]
            case "div", True:
                factor, summand = 1 / constant, unchanged[1]
            case _:
                raise NoInt8("it divides by a value")
        before = self._made_alone(source)
        if self.values[source] == 0 or (before and before.told.get("standardizes")):
            self._standardized(node, source, shape, factor, summand)
        else:
            self._scaled(node, source, shape, factor, summand)

    def _constant(self, given: Any, shape: Shape) -> torch.Tensor:
        """A constant as one number for each channel."""
        number = self.constants[given] if isinstance(given, Node) else torch.tensor(float(given))
        if isinstance(given, Node) and number.device.type == "meta":
            return torch.empty(shape[0], device="meta")
        sides = (shape[0], *[1] * (len(shape) - 1))
        try:
            spread = number.reshape(number.shape[1:] if number.dim() > len(shape) else number.shape)
            return spread.expand(sides).flatten() if number.dim() else number.expand(shape[0])
        except RuntimeError as error:
            raise NoInt8("it computes with a constant that differs by pixel") from error

    def _standardized(
        self, node: Node, source: Node, shape: Shape, factor: torch.Tensor, summand: torch.Tensor
    ) -> None:
        """What is done to each channel of the image: a depthwise convolution of one pixel."""
        before = self._made_alone(source)
        if before:
            assert before.weight is not None
            assert before.bias is not None
            weight = before.weight * factor.view(-1, 1, 1, 1)
            step = replace(before, weight=weight, bias=before.bias * factor + summand)
            self._replace(node, step)
            return
        told = {
            "stride": (1, 1),
            "padding": [0, 0, 0, 0],
            "dilation": (1, 1),
            "groups": shape[0],
            "standardizes": True,
        }
        weight = factor.view(-1, 1, 1, 1)
        self._add(node, Step("conv", (self._value(source),), 0, shape, weight, summand, told=told))

    def _view(self, node: Node, source: Node, shape: Shape) -> None:
        planes = self._shape(source)
        if source in self.turned:  # as the runtime has them in memory
            value, order = self.values[source], "channels last"
        else:
            value, order = self._value(source), ""
            if len(planes) == 3 and len(shape) == 1 and planes[1:] != (1, 1) and planes[0] > 1:
                value = self._add(None, Step("transpose", (value,), 0, planes))
            elif len(planes) > 1 and len(shape) > 1 and prod(planes[1:]) > 1:
                raise NoInt8(f"it views {planes} as {shape}")
        self._add(node, Step("reshape", (value,), 0, shape, told={"order": order}))


def _with_requantized_concatenations(steps: Sequence[Step]) -> list[Step]:
    """The steps, with one more where a part of a concatenation must be brought to its scale.

    All parts have the scale of the whole.  What others take too, or what has the scale of something
    else, is requantized.
    """
    users: dict[int, int] = {}
    for step in steps:
        for value in step.inputs:
            users[value] = users.get(value, 0) + 1
    kinds = {step.output: step.kind for step in steps}
    following = max((step.output for step in steps), default=0) + 1
    made: list[Step] = []
    for step in steps:
        taken = list(step.inputs)
        for place, value in enumerate(taken if step.kind == "concatenate" else []):
            if users[value] > 1 or kinds.get(value, "conv") in KEEP_SCALE:
                shape = next((s.shape for s in steps if s.output == value), ())
                made.append(Step("requantize", (value,), following, shape))
                taken[place] = following
                following += 1
        made.append(replace(step, inputs=tuple(taken)))
    return made


def macs_of(step: Step) -> int:
    """Multiply-accumulates of one step on one image; of convolutions and linear layers."""
    if step.kind not in ("conv", "linear"):
        return 0
    assert step.weight is not None
    return step.weight.numel() * prod(step.shape[1:])


def _pads_as_same(step: Step, taken: Shape) -> bool:
    """Whether a convolution pads as "same" does: evenly, one more on the right and below."""
    assert step.weight is not None
    left, right, top, bottom = step.told["padding"]
    sides = zip(
        taken[1:],
        step.weight.shape[2:],
        step.told["stride"],
        step.told["dilation"],
        ((top, bottom), (left, right)),
        strict=True,
    )
    for size, kernel, stride, dilation, given in sides:
        reach = (kernel - 1) * dilation + 1
        total = max(0, (math.ceil(size / stride) - 1) * stride + reach - size)
        if given != (total // 2, total - total // 2):
            return False
    return True


def arguments(node: Node) -> list[Any]:
    """What an operation is called with, by position."""
    return [*node.args]


def _pair(given: Any) -> tuple[int, int]:
    values = list(given) if isinstance(given, list | tuple) else [given]
    return (int(values[0]), int(values[-1]))


def _listed(given: Any) -> list[int]:
    return list(given) if isinstance(given, list | tuple) else [given]
