"""Operators as torch has them, made for a shape and ready to be timed.

A bench is what a row of a calibration file says: operator, format, shape, layout of its operands. Operands are read
from several copies in turn, and results are kept as long, larger together than a processor's own caches are: a model
has more than one layer, and what a layer reads was written some time before.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CYCLED, COPIES = 32 * 2**20, 32
"""Bytes of an operand that are cycled through, and copies at most."""

ABSORBED = (576, 512)
"""Elements of a latent key and of a latent value of MLA (DeepSeek-V3, arXiv 2412.19437, section 4.2)."""


@dataclass(frozen=True)
class Bench:
    """What is timed. shape: as `system.qualified.KINDS` names it; layout: of a GEMM's operands, NN, NT or TN."""

    operator: str
    format: str
    shape: tuple[int, ...]
    layout: str = ""

    @property
    def key(self) -> tuple[str, str, tuple[int, ...], str]:
        """What tells it from others."""
        return (self.operator, self.format, self.shape, self.layout)


def dtype_of(name: str) -> torch.dtype:
    """The type of a format in torch. Raises AttributeError where this torch has none."""
    import torch

    names = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "fp8": "float8_e4m3fn", "int8": "int8"}
    found: torch.dtype = getattr(torch, names[name])
    return found


def work(bench: Bench, place: torch.device) -> Callable[[], object]:
    """The call to time. Raises what torch raises where the device has no such operator."""
    import torch

    call = _MAKERS[bench.operator](bench, place)
    first = call()
    moved = first.numel() * first.element_size() if isinstance(first, torch.Tensor) else 0
    kept = deque([first], maxlen=_copies(moved))
    return lambda: kept.append(call())


def _copies(size: int) -> int:
    """How many of so many bytes are cycled through."""
    return max(1, min(COPIES, CYCLED // max(1, size)))


def _random(place: torch.device, dtype: torch.dtype, *shape: int) -> torch.Tensor:
    """Numbers near one in size; formats that have no generator of their own are converted."""
    import torch

    if dtype == torch.int8:
        return torch.randint(-8, 8, shape, dtype=torch.int8, device=place)
    return torch.randn(shape, dtype=torch.float32, device=place).to(dtype)


def _turns(make: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """The copies of an operand, one after another."""
    first = make()
    others = range(_copies(first.numel() * first.element_size()) - 1)
    return itertools.cycle([first, *(make() for _ in others)]).__next__


def _gemm(bench: Bench, place: torch.device) -> Callable[[], object]:
    import torch

    m, n, k = bench.shape
    dtype, layout = dtype_of(bench.format), bench.layout or "NT"
    left = _turns(lambda: _random(place, dtype, k, m).t() if layout == "TN" else _random(place, dtype, m, k))
    right = _turns(lambda: _random(place, dtype, n, k).t() if layout == "NT" else _random(place, dtype, k, n))
    if bench.format == "fp8":
        one = torch.ones((), device=place)
        return lambda: torch._scaled_mm(left(), right(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
    if bench.format == "int8":
        return lambda: torch._int_mm(left(), right())
    return lambda: torch.mm(left(), right())


def _bmm(bench: Bench, place: torch.device) -> Callable[[], object]:
    import torch

    batch, m, n, k = bench.shape
    dtype = dtype_of(bench.format)
    left = _turns(lambda: _random(place, dtype, batch, m, k))
    right = _turns(lambda: _random(place, dtype, batch, k, n))
    return lambda: torch.bmm(left(), right())


def _grouped(bench: Bench, place: torch.device) -> Callable[[], object]:
    """All experts of a rank, with equal rows: torch's grouped kernel."""
    import torch

    rows, experts, n, k = bench.shape
    dtype = dtype_of(bench.format)
    left = _turns(lambda: _random(place, dtype, rows, k))
    right = _turns(lambda: _random(place, dtype, experts, n, k).transpose(-2, -1))
    ends = torch.tensor([rows * (i + 1) // experts for i in range(experts)], dtype=torch.int32, device=place)
    return lambda: torch._grouped_mm(left(), right(), ends)


def _heads(bench: Bench) -> tuple[int, int, int, int]:
    """(query heads, KV heads, size of a query's head, of a value's) of an attention's shape."""
    _, _, heads, width, cached = bench.shape
    if (width, cached) == (sum(ABSORBED), ABSORBED[0]):
        return heads, 1, *ABSORBED
    size = width // 2
    return heads, max(1, cached // (2 * size)), size, width - size


def _prefill(bench: Bench, place: torch.device) -> Callable[[], object]:
    call, _ = _attention(bench, place)
    return call


def _backward(bench: Bench, place: torch.device) -> Callable[[], object]:
    """The backward pass alone: gradients of queries, keys and values of a pass that was made once."""
    import torch

    call, operands = _attention(bench, place)
    for each in operands:
        each.requires_grad_()
    out = call()
    ahead = torch.ones_like(out)
    return lambda: torch.autograd.grad(out, operands, ahead, retain_graph=True)


def _attention(bench: Bench, place: torch.device) -> tuple[Callable[[], torch.Tensor], Sequence[torch.Tensor]]:
    import torch

    batch, tokens = bench.shape[:2]
    heads, groups, size, value = _heads(bench)
    dtype = dtype_of(bench.format)
    queries, keys = (
        _random(place, dtype, batch, heads, tokens, size),
        _random(place, dtype, batch, groups, tokens, size),
    )
    values = _random(place, dtype, batch, groups, tokens, value)
    attend, shared = torch.nn.functional.scaled_dot_product_attention, groups != heads
    return lambda: attend(queries, keys, values, is_causal=True, enable_gqa=shared), (queries, keys, values)


def _decode(bench: Bench, place: torch.device) -> Callable[[], object]:
    """One token of each sequence over its cache; of latents absorbed: values are the keys' first part."""
    import torch

    batch, context = bench.shape[:2]
    heads, groups, size, value = _heads(bench)
    dtype = dtype_of(bench.format)
    queries = _random(place, dtype, batch, heads, 1, size)
    keys = _random(place, dtype, batch, groups, context, size)
    values = keys[..., :value] if size != value else _random(place, dtype, batch, groups, context, value)
    attend, shared = torch.nn.functional.scaled_dot_product_attention, groups != heads
    if size == value:
        return lambda: attend(queries, keys, values, enable_gqa=shared)
    rows = queries.view(batch, heads, size)

    def latent() -> object:
        scores = torch.bmm(rows, keys[:, 0].transpose(1, 2)).softmax(-1)
        return torch.bmm(scores, values[:, 0])

    return latent


def _over(make: Callable[..., Any], operands: int, moved: int) -> Callable[[Bench, torch.device], Callable[[], object]]:
    """A maker of element-wise work on flat tensors; moved: tensors read and written, which make up the bytes."""

    def made(bench: Bench, place: torch.device) -> Callable[[], object]:
        dtype = dtype_of(bench.format)
        size = max(1, bench.shape[0] // (moved * dtype.itemsize))
        turns = [_turns(lambda: _random(place, dtype, size)) for _ in range(operands)]
        return lambda: make(*(each() for each in turns))

    return made


def _rows(make: Callable[..., Any]) -> Callable[[Bench, torch.device], Callable[[], object]]:
    """A maker of work on rows of a width."""

    def made(bench: Bench, place: torch.device) -> Callable[[], object]:
        rows, width = bench.shape
        dtype = dtype_of(bench.format)
        call: Callable[[], object] = make(_turns(lambda: _random(place, dtype, rows, width)), place)
        return call

    return made


def _norm(states: Any, place: Any) -> Callable[[], object]:
    import torch

    one = states()
    weight = torch.ones(one.shape[-1], dtype=one.dtype, device=place)
    return lambda: torch.nn.functional.layer_norm(states(), weight.shape, weight)


def _entropy(states: Any, place: Any) -> Callable[[], object]:
    """Loss and its gradient."""
    import torch

    targets = torch.zeros(states().shape[0], dtype=torch.long, device=place)

    def both() -> object:
        logits = states().detach().requires_grad_()
        return torch.autograd.grad(torch.nn.functional.cross_entropy(logits, targets), logits)[0]

    return both


def _picks(states: Any, place: Any) -> Any:
    """Rows to look up or to add to, in no order; the same every time."""
    import torch

    return torch.randperm(states().shape[0], generator=torch.Generator().manual_seed(0)).to(place)


def _gather(states: Any, place: Any) -> Callable[[], object]:
    picks = _picks(states, place)
    return lambda: states()[picks]


def _scatter(states: Any, place: Any) -> Callable[[], object]:
    import torch

    picks, into = _picks(states, place), torch.zeros_like(states())
    return lambda: into.index_add_(0, picks, states())


def _reduction(states: Any) -> object:
    return states.view(-1, 256 if states.numel() % 256 == 0 else states.numel()).mean(-1, keepdim=True)


def _copy(states: Any) -> object:
    """Of a head's slices, as attention makes them: rows of 64 in another order."""
    import torch

    rows = states.view(-1, 64) if states.numel() % 64 == 0 else states.view(1, -1)
    return torch.cat((rows, rows[:0]))


def _triad(a: Any, b: Any, c: Any) -> object:
    """As STREAM's, a = b + s c (McCalpin 1995); nothing is allocated."""
    import torch

    torch.add(b, c, alpha=3.0, out=a)
    return None


def _optimiser(bench: Bench, place: torch.device) -> Callable[[], object]:
    """A step of AdamW in one kernel where torch has it; bytes: weight, gradient and two moments read, three written."""
    import torch

    size = max(1, bench.shape[0] // 28)
    weight = torch.nn.Parameter(torch.zeros(size, device=place))
    weight.grad = torch.ones_like(weight)
    return torch.optim.AdamW([weight], lr=0.0, fused=True).step


def _launch(bench: Bench, place: torch.device) -> Callable[[], object]:
    one = _random(place, dtype_of(bench.format), 1)
    return lambda: one + one


def _view(bench: Bench, place: torch.device) -> Callable[[], object]:
    one = _random(place, dtype_of(bench.format), 1, 1)
    return lambda: one.view(1)


CHAIN = 32
"""Operators of the chain by which what autograd adds is timed."""


def _tracked(bench: Bench, place: torch.device) -> Callable[[], object]:
    """Multiplications of one number forward and backward."""
    import torch

    one = torch.ones(1, device=place, requires_grad=True)

    def chain() -> object:
        out = one
        for _ in range(CHAIN):
            out = out * 1.5
        return torch.autograd.grad(out, one)

    return chain


def _host(back: bool) -> Callable[[Bench, torch.device], Callable[[], object]]:
    """Between the host's memory, pinned where it can be, and the device's."""

    def made(bench: Bench, place: torch.device) -> Callable[[], object]:
        import torch

        host = torch.zeros(bench.shape[0], dtype=torch.uint8, pin_memory=place.type == "cuda")
        there = host.to(place)
        return (lambda: host.copy_(there)) if back else (lambda: there.copy_(host))

    return made


_MAKERS: dict[str, Callable[[Bench, Any], Callable[[], object]]] = {
    "gemm": _gemm,
    "bmm": _bmm,
    "grouped_gemm": _grouped,
    "prefill": _prefill,
    "prefill_backward": _backward,
    "decode": _decode,
    "elementwise": _over(lambda a, b: a + b, 2, 3),
    "transcendental": _over(lambda a: a.sigmoid(), 1, 2),
    "reduction": _over(_reduction, 1, 1),
    "copy": _over(_copy, 1, 2),
    "triad": _over(_triad, 3, 3),
    "norm": _rows(_norm),
    "softmax": _rows(lambda states, place: lambda: states().softmax(-1)),
    "cross_entropy": _rows(_entropy),
    "gather": _rows(_gather),
    "scatter": _rows(_scatter),
    "optimiser": _optimiser,
    "launch": _launch,
    "launch_view": _view,
    "launch_tracked": _tracked,
    "to_device": _host(back=False),
    "to_host": _host(back=True),
}
"""How each operator of a file is made."""
