"""A simulated device layer: sound, or with one fault of a known kind, for the tests and the table of defects.

Two layers inject the same faults. A dispatch mode sees every operator of the processor, backward ones too, in its own
thread. A backend in torch's place for private devices (`PrivateUse1`, in pure Python) has tensors of a device kind of
its own, which reach the paths that the mode cannot: copies between kinds, threads, several cards. What is computed in
float64 is the reference, and always right.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from tonnage.model import Architecture, load
from tonnage.model.scaled import scaled

aten = torch.ops.aten

PRODUCTS = {aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default}


def tiny(folder: Any, name: str = "Qwen/Qwen3-30B-A3B") -> Architecture:
    """A release's architecture made small, so that all gates take part of a second."""
    import json

    sizes = scaled(load(name).config, 32.0, 256, 64, {})
    file = folder / "config.json"
    file.write_text(json.dumps(sizes))
    return load(str(file))


@dataclass
class Fault:
    """A fault of the layer. rate: share of products that it meets, or the product at which it comes; on: the card that
    has it, -1 for all; card: the one that computes now; seen: products so far; count: how often it struck.
    """

    kind: str = ""
    rate: float = 1.0
    on: int = -1
    card: int = 0
    seen: int = 0
    count: int = 0
    time: float = 0.0
    gate: threading.Event = field(default_factory=threading.Event)
    """Set to let a hanging operator go."""


def computed(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    """What the device makes of an operator."""
    if fault.kind and fault.on in (-1, fault.card) and _single(args):
        return _faulty(fault, func, args, kwargs)
    return func(*args, **kwargs)


def _single(args: Any) -> bool:
    """Whether an operator works on a format that devices compute in; float64 is the reference."""
    first = next((x for x in _tensors(args)), None)
    return first is not None and first.dtype in (torch.float32, torch.bfloat16)


def _tensors(args: Any) -> Iterator[torch.Tensor]:
    for one in args:
        if isinstance(one, torch.Tensor):
            yield one
        elif isinstance(one, (list, tuple)):
            yield from _tensors(one)


def _faulty(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    if fault.kind == "slow link" and func is aten.copy_.default:
        fault.time += 9.0
    product = func in PRODUCTS
    if fault.kind == "nan" and func in (aten.mul.Tensor, aten.exp.default, *PRODUCTS):
        out = func(*args, **kwargs)
        return torch.where(torch.isinf(out), torch.full_like(out, float("nan")), out)
    if not product:
        return func(*args, **kwargs)
    fault.seen += 1
    return PRODUCT_FAULTS.get(fault.kind, _plainly)(fault, func, args, kwargs)


def _plainly(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    return func(*args, **kwargs)


def _truncated(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    """Sums kept in bf16, eight terms at a time."""
    left, right = args[-2:]
    total = torch.zeros((*left.shape[:-1], right.shape[-1]), dtype=torch.bfloat16)
    for at in range(0, left.shape[-1], 8):
        part = left[..., at : at + 8].float() @ right[..., at : at + 8, :].float()
        total = (total.float() + part).to(torch.bfloat16)
    if len(args) == 3:
        total = total + args[0]
    return total.to(left.dtype)


def _towards_zero(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    """Results cut to bf16 instead of rounded."""
    out = func(*(x.float() if isinstance(x, torch.Tensor) else x for x in args), **kwargs)
    if args[-1].dtype != torch.bfloat16:
        return out
    return (out.contiguous().view(torch.int32) & -65536).view(torch.float32).to(torch.bfloat16)


def _one_shape(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    """Wrong where a product has exactly 64 outputs."""
    out = func(*args, **kwargs)
    if out.shape[-1] == 64:
        out = out.clone()
        out[..., 0] = out[..., 1]
    return out


def _flips(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    """Now and then a high bit of one result."""
    out = func(*args, **kwargs)
    if torch.rand((), generator=_random(fault)) < fault.rate:
        fault.count += 1
        out = out.contiguous().clone()
        flat = out.view(-1)
        flat[0] = flat[0] * 2.0**16 + 1.0
    return out


def _wobbles(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    """Sums in an order that changes: right but for rounding."""
    left, right = args[-2:]
    if len(args) == 3:
        return func(*args, **kwargs)
    order = torch.randperm(left.shape[-1], generator=_random(fault))
    out = func(left.float()[..., order], right.float()[..., order, :])
    return out.to(left.dtype)


def _random(fault: Fault) -> torch.Generator:
    made = torch.Generator()
    made.manual_seed(fault.seen * 7919 + 13)
    return made


def _no_backward(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    if torch._C._current_graph_task_id() != -1:
        raise NotImplementedError(f"{func} is not implemented for this device in a backward pass")
    return func(*args, **kwargs)


def _hangs(fault: Fault, func: Any, args: Any, kwargs: Any) -> Any:
    if fault.seen > fault.rate:
        fault.gate.wait(20.0)
        raise RuntimeError("let go")
    return func(*args, **kwargs)


PRODUCT_FAULTS: dict[str, Callable[[Fault, Any, Any, Any], Any]] = {
    "truncated": _truncated,
    "towards zero": _towards_zero,
    "one shape": _one_shape,
    "flips": _flips,
    "wobbles": _wobbles,
    "no backward": _no_backward,
    "hang": _hangs,
}


class Mode(TorchDispatchMode):
    """The processor with a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(self.fault, func, args, kwargs or {})


# the backend

NAME = "simulated"
_FAULT = Fault()
_RAW: dict[int, torch.Tensor] = {}
"""What each tensor of the device holds, on the processor, by its storage: autograd's own copies share that."""

_LIBRARIES: list[torch.library.Library] = []


@contextmanager
def backend(fault: Fault) -> Iterator[torch.device]:
    """The device kind `simulated`, with a fault as long as one is within."""
    global _FAULT
    _register()
    before, _FAULT = _FAULT, fault
    try:
        yield torch.device(NAME)
    finally:
        _FAULT = before
        _RAW.clear()


def _register() -> None:
    """Once in a process: torch has room for one private backend."""
    if _LIBRARIES:
        return
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(NAME)
    module: Any = getattr(torch, NAME)
    module.get_amp_supported_dtype = lambda: [torch.bfloat16]
    every = torch.library.Library("_", "IMPL")
    every.fallback(_fallback, "PrivateUse1")
    own = torch.library.Library("aten", "IMPL")
    own.impl("_copy_from", _copy_from, "PrivateUse1")
    for name, bounds in (("arange", 1), ("arange.start", 2), ("arange.start_step", 3)):
        own.impl(name, _arange(bounds), "PrivateUse1")
    _LIBRARIES.extend((every, own))


def _arange(bounds: int) -> Callable[..., torch.Tensor]:
    def made(*args: Any, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
        return _wrapped(torch.arange(*args[:bounds], dtype=dtype))

    return made


def _ours(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.device.type == NAME


def _raw(value: torch.Tensor) -> torch.Tensor:
    return _RAW[value.untyped_storage()._cdata] if _ours(value) else value


def _wrapped(raw: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = torch._C._acc.create_empty_tensor(raw.shape, raw.dtype)  # type: ignore[attr-defined]
    _RAW[made.untyped_storage()._cdata] = raw
    return made


def _copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _raw(target).copy_(_raw(source))
    return target


INTO = {
    aten.mm.out: aten.mm.default,
    aten.addmm.out: aten.addmm.default,
    aten.bmm.out: aten.bmm.default,
    aten.baddbmm.out: aten.baddbmm.default,
}
"""Products as torch calls them here, into a result that it has made, and as the faults know them."""

VIEWS = {aten.view.default, aten._unsafe_view.default}


def _fallback(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Any other operator: on the processor, with the fault. Tensors look contiguous from outside."""
    held: dict[int, torch.Tensor] = {}

    def taken(one: Any) -> Any:
        if _ours(one):
            raw = _raw(one)
            held[id(raw)] = one
            return raw
        return torch.device("cpu") if isinstance(one, torch.device) and one.type == NAME else one

    given, more = tree_map(taken, args), tree_map(taken, kwargs)
    if func is aten.as_strided.default:
        whole = given[0].contiguous()
        offset = (given[3] if len(given) > 3 else more.get("storage_offset")) or 0
        out: Any = whole.as_strided(given[1], given[2], offset + whole.storage_offset())
    elif func in VIEWS:
        out = given[0].reshape(given[1])
    elif func in INTO:
        into = more.pop("out")
        out = into.copy_(computed(_FAULT, INTO[func], given, more))
    else:
        out = computed(_FAULT, func, given, more)
    return tree_map(lambda one: held.get(id(one)) if id(one) in held else _given(one), out)


def _given(one: Any) -> Any:
    return _wrapped(one) if isinstance(one, torch.Tensor) else one
