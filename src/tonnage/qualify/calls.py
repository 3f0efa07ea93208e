"""The calls that a step makes of a framework, counted before it runs: operators, formats, shapes.

The model is built of fake tensors (they have shapes and a device and hold nothing), a step is taken with it, and every
call that torch would send to the device is written down as a row of a calibration file names it. So what an eager
framework does is counted, and none of it guessed: decomposed norms, copies, casts, the operators of autograd.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tonnage.qualify.bench import Bench

if TYPE_CHECKING:
    import torch

VIEW = "launch_view"
"""Calls that make another view of what is there: nothing is moved."""

GEMMS = {"mm": (0, 1), "addmm": (1, 2)}
BATCHED = {"bmm": (0, 1), "baddbmm": (1, 2)}
"""Multiplications, and which arguments are multiplied."""

ATTENTION = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)
"""Fused attention by torch's names; the backward pass of each has `_backward` after it."""

CLASSES = {
    "transcendental": (
        *("exp", "sigmoid", "silu", "gelu", "tanh", "rsqrt", "sqrt", "pow", "cos", "sin", "log", "softplus", "log1p"),
        *("sigmoid_backward", "silu_backward", "gelu_backward", "softplus_backward", "tanh_backward"),
    ),
    "reduction": ("mean", "sum", "amax", "max", "linalg_vector_norm", "cumsum", "topk", "sort", "histc", "argmax"),
    "softmax": ("_softmax", "_softmax_backward_data", "_safe_softmax", "_log_softmax", "_log_softmax_backward_data"),
    "norm": ("native_layer_norm", "_fused_rms_norm", "native_layer_norm_backward", "_fused_rms_norm_backward"),
    "gather": ("embedding", "index", "gather", "index_select"),
    "scatter": (
        "embedding_dense_backward",
        "index_put",
        "index_put_",
        "scatter_",
        "scatter",
        "index_add",
        "index_add_",
    ),
    "copy": (
        "clone",
        "copy_",
        "_to_copy",
        "cat",
        "constant_pad_nd",
        "slice_backward",
        "select_backward",
        "flip",
        "roll",
    ),
}
"""Classes of calls whose time is not that of an addition of as many bytes."""

_CLASS = {name: kind for kind, names in CLASSES.items() for name in names}

ROWS = ("softmax", "norm", "gather", "scatter")
"""Classes whose rows are a number of rows and a width."""

NOTHING = ("device", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "lift_fresh", "size")
"""Calls that move nothing and start nothing on the device."""

_FORMATS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "int8": "int8", "float8_e4m3fn": "fp8"}


def counted(step: Callable[[], object]) -> Counter[Bench]:
    """What a step calls, and how often; it has to be taken under `pretended`."""
    recorder = _recorder()
    with recorder:
        step()
    found: Counter[Bench] = recorder.calls
    return found


def pretended() -> Any:
    """A context in which tensors are fake: made of shapes, wherever they are said to lie."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


def _recorder() -> Any:
    """The mode that sees every call above the fake tensors."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.calls: Counter[Bench] = Counter()

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.overloadpacket.__name__
            out = _grouped(args, kwargs or {}) if name == "_grouped_mm" else func(*args, **(kwargs or {}))
            call = described(name, func, args, kwargs or {}, out)
            if call is not None:
                self.calls[call] += 1
            return out

    return Recorder()


def _grouped(args: Any, kwargs: Any) -> Any:
    """What a grouped multiplication gives: torch's shapes of it know bf16 alone."""
    left, right = args[:2]
    ends = args[2] if len(args) > 2 else kwargs["offs"]
    if left.dim() == 2 and right.dim() == 2:
        return left.new_empty(ends.shape[0], left.shape[0], right.shape[1])
    return left.new_empty(left.shape[0], right.shape[-1])


def described(name: str, func: Any, args: Any, kwargs: Any, out: Any) -> Bench | None:
    """One call as a row would name it; None for what nothing is done for."""
    import torch

    if name in NOTHING:
        return None
    tensors = [each for each in _flat((args, kwargs)) if isinstance(each, torch.Tensor)]
    results = [each for each in _flat(out) if isinstance(each, torch.Tensor)]
    form = _format(results or tensors)
    if name in GEMMS or name in BATCHED:
        left, right = (args[i] for i in (GEMMS | BATCHED)[name])
        return _multiplied(left, right, form)
    if name == "_grouped_mm":
        return _experts(args, out, form)
    for fused in ATTENTION:
        if name in (fused, f"{fused}_backward"):
            given = args if name == fused else args[1:]
            return _attended(given, form, backward=name != fused)
    if _view(func):
        return Bench(VIEW, "fp32", (1,))
    moved = sum(each.numel() * each.element_size() for each in (*tensors, *results))
    if name in ("_fused_adamw_", "_fused_adam_"):
        return Bench("optimiser", "fp32", (28 * sum(each.numel() for each in args[0]),))
    kind = _CLASS.get(name, "elementwise")
    if kind in ROWS and results:
        return _rowwise(kind, results[0], tensors, form)
    return Bench(kind, form, (max(1, moved),))


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [each for one in value for each in _flat(one)]
    if isinstance(value, dict):
        return _flat(list(value.values()))
    return [value]


def _format(tensors: list[torch.Tensor]) -> str:
    """Of what comes out; numbers of other types cost as fp32."""
    return _FORMATS.get(str(tensors[0].dtype).removeprefix("torch."), "fp32") if tensors else "fp32"


def _view(func: Any) -> bool:
    """Whether what comes out lies in what went in, unwritten (torch's schema of the operator)."""
    if func.overloadpacket.__name__ == "_unsafe_view":
        return True
    aliased = [each.alias_info for each in func._schema.returns if each.alias_info is not None]
    return bool(aliased) and not any(each.is_write for each in aliased)


def _turned(operand: Any) -> bool:
    """Whether a matrix lies column after column."""
    return bool(operand.stride(-1) != 1 and operand.stride(-2) == 1)


def _multiplied(left: Any, right: Any, form: str) -> Bench:
    (m, k), n = left.shape[-2:], right.shape[-1]
    if left.dim() == 3:
        return Bench("bmm", form, (left.shape[0], m, n, k))
    layout = "TN" if _turned(left) else "NT" if _turned(right) else "NN"
    return Bench("gemm", form, (m, n, k), layout)


def _experts(args: Any, out: Any, form: str) -> Bench:
    """As an expert multiplication of (rows, experts, outputs, inputs); of a gradient of weights, its transposed."""
    left, right = args[:2]
    if out.dim() == 3:
        return Bench("grouped_gemm", form, (left.shape[1], *out.shape))
    return Bench("grouped_gemm", form, (left.shape[0], right.shape[0], right.shape[2], right.shape[1]))


def _attended(given: Any, form: str, backward: bool) -> Bench:
    queries, keys, values = given[:3]
    batch, heads, tokens, size = queries.shape
    shape = (batch, keys.shape[2], heads, size + values.shape[3], keys.shape[1] * (size + values.shape[3]))
    if backward:
        return Bench("prefill_backward", form, shape)
    return Bench("decode" if tokens == 1 else "prefill", form, shape)


def _rowwise(kind: str, result: Any, tensors: list[Any], form: str) -> Bench:
    """A gather by the rows that come out, a scatter by those that are added, else by the last dimension."""
    moved = result
    if kind == "scatter":
        added = [each for each in tensors if each.is_floating_point()]
        moved = added[-1] if added else result
    width = int(moved.shape[-1]) if moved.dim() else 1
    return Bench(kind, form, (max(1, math.prod(moved.shape[:-1])), max(1, width)))
