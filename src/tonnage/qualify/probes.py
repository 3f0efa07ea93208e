"""The operators that a model needs, as small questions that a device answers forward and backward.

Shapes are those of the model's own operators: the inner dimension of a product, sizes of a head, width of a norm are
kept; what only repeats the same work (rows, columns, heads, experts) is cut to what the caller affords.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tonnage.model import Load, Step, operators
from tonnage.model.attention import Gqa
from tonnage.model.compressed import Compressed
from tonnage.model.latent import Mla
from tonnage.model.linear import Recurrent

if TYPE_CHECKING:
    import torch

    from tonnage.model import Architecture
    from tonnage.model.architecture import Mixer

ProbeKind = Literal["gemm", "experts", "attention", "decode", "scan", "norm", "activation", "routing", "loss", "lookup"]

QUICK, FULL = 2**19, 2**26
"""Elements of a weight at most, cut and in full: a second and minutes of a processor for all operators of a model."""

ROWS, TOKENS = 32, 64
"""Rows of a product; tokens of an attention, cut. The more, the better a maximum of errors is known."""


@dataclass(frozen=True)
class Probe:
    """One operator. shapes: of its inputs; run: what is computed of them; terms: of the sums that make the output, and
    the gradient of each input; single: fp32 only, as models compute it (routers, losses); learns: has a backward pass.
    """

    kind: ProbeKind
    name: str
    shapes: tuple[tuple[int, ...], ...]
    run: Callable[[Sequence[torch.Tensor]], torch.Tensor]
    terms: tuple[int, ...]
    single: bool = False
    learns: bool = True
    signed: bool = False
    """Whether its inputs may be negative even where bias is looked for: a loss of positive logits is no harder."""


def needed(model: Architecture, full: bool = False) -> tuple[Probe, ...]:
    """The operators of a model, each shape once."""
    most = FULL if full else QUICK
    made = [*_products(model, most), *_mixers(model, full), *_rest(model, full)]
    return tuple({(probe.kind, probe.shapes): probe for probe in made}.values())


def unknown(model: Architecture) -> tuple[str, ...]:
    """Kinds of mixers of a model for which there is no probe."""
    found = [block.mixer for block in model.blocks if block.mixer is not None]
    return tuple(dict.fromkeys(mixer.kind for mixer in found if not list(_mixer(mixer, TOKENS))))


# products


def _products(model: Architecture, most: int) -> Iterator[Probe]:
    step = Step((Load(1.0, float(TOKENS)),), logits=float(TOKENS))
    for operator in operators(model, step):
        n, k = int(operator.n), int(operator.k)
        if operator.kind == "gemm":
            yield linear(ROWS, min(n, max(8, most // k)), k)
            yield linear(ROWS, n, min(k, max(8, most // n)))
        elif operator.kind == "grouped_gemm":
            groups, chosen = min(int(operator.groups), 8), max(1, int(operator.top_k))
            yield grouped(ROWS, min(n, max(8, most // k // groups)), k, groups, min(chosen, groups, 2))


def linear(m: int, n: int, k: int) -> Probe:
    """A product as layers have it: forward NT, gradient of its input NN, of its weight TN."""

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        return torch.nn.functional.linear(given[0], given[1])

    return Probe("gemm", f"GEMM {m} x {n} x {k}", ((m, k), (n, k)), run, (k, n, m))


def grouped(m: int, n: int, k: int, groups: int, chosen: int) -> Probe:
    """Experts: rows gathered for each, a product, the results added up where they belong."""
    order = np.random.default_rng([m, groups]).permuted(np.tile(np.arange(groups), (m, 1)), axis=1)[:, :chosen]

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        states, weights = given
        out = states.new_zeros(m, n)
        for group in range(groups):
            rows = torch.from_numpy(np.flatnonzero((order == group).any(axis=1))).to(states.device)
            made = torch.nn.functional.linear(states.index_select(0, rows), weights[group])
            out = out.index_add(0, rows, made)
        return out

    terms = (k * chosen, n * chosen, m)
    return Probe("experts", f"experts {m} x {n} x {k}, {groups} groups", ((m, k), (groups, n, k)), run, terms)


# what mixes tokens


def _mixers(model: Architecture, full: bool) -> Iterator[Probe]:
    for block in model.blocks:
        if block.mixer is not None:
            yield from _mixer(block.mixer, 8 * TOKENS if full else TOKENS)


def _mixer(mixer: Mixer, tokens: int) -> Iterator[Probe]:
    if isinstance(mixer, Gqa):
        group = min(max(1, mixer.heads // mixer.kv_heads), 4)
        yield attention("grouped" if group > 1 else "multi-head", tokens, group, 1, mixer.dim, mixer.value)
        yield decode("grouped" if group > 1 else "multi-head", 4 * tokens, group, mixer.dim, mixer.value)
    elif isinstance(mixer, Mla):
        yield attention("MLA", tokens, 2, 2, mixer.nope + mixer.rope, mixer.value)
        yield decode("MLA, absorbed", 4 * tokens, 4, mixer.kv_lora + mixer.rope, mixer.kv_lora)
    elif isinstance(mixer, Compressed):
        yield attention("one key head", tokens, 4, 1, mixer.dim, mixer.dim)
        yield decode("one key head", 4 * tokens, 4, mixer.dim, mixer.dim)
    elif isinstance(mixer, Recurrent):
        yield scan(mixer.rule.name, tokens // 4, 2, mixer.key, mixer.value)


def attention(word: str, tokens: int, heads: int, keys: int, dim: int, value: int) -> Probe:
    """Causal attention of whole sequences."""

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        query, key, held = given
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, held, is_causal=True, enable_gqa=heads != keys
        )

    shapes = ((1, heads, tokens, dim), (1, keys, tokens, dim), (1, keys, tokens, value))
    repeats = heads // keys
    name = f"attention, {word}, {tokens} tokens, heads of {dim} and {value}"
    return Probe("attention", name, shapes, run, (tokens, tokens, tokens * repeats, tokens * repeats))


def decode(word: str, tokens: int, heads: int, dim: int, value: int) -> Probe:
    """One new token against a cache."""

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        query, key, held = given
        return torch.nn.functional.scaled_dot_product_attention(query, key, held, enable_gqa=True)

    shapes = ((1, heads, 1, dim), (1, 1, tokens, dim), (1, 1, tokens, value))
    name = f"attention, {word}, decode at {tokens}, heads of {dim} and {value}"
    return Probe("decode", name, shapes, run, (tokens,), learns=False)


def scan(word: str, tokens: int, heads: int, key: int, value: int) -> Probe:
    """A gated recurrence, token by token: S = decay S + k v^T, o = q S."""

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        query, keys, values, gates = given
        state, out = keys.new_zeros(heads, key, value), []
        for at in range(tokens):
            state = state * torch.sigmoid(gates[at])[:, None, None] + keys[at][:, :, None] * values[at][:, None, :]
            out.append(torch.einsum("hk,hkv->hv", query[at], state))
        return torch.stack(out)

    shapes = ((tokens, heads, key), (tokens, heads, key), (tokens, heads, value), (tokens, heads))
    return Probe("scan", f"recurrence, {word}, {tokens} tokens, {key} x {value}", shapes, run, (tokens * key,) * 5)


# the rest


def _rest(model: Architecture, full: bool) -> Iterator[Probe]:
    vocab = model.vocab if full else min(model.vocab, 4096)
    yield norm(model.hidden)
    yield activation(2048)
    yield loss(vocab)
    yield lookup(vocab, min(model.hidden, 1024))
    if model.moe:
        yield routing(64)


def norm(width: int) -> Probe:
    """RMS norm with its weight."""

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        return torch.nn.functional.rms_norm(given[0], (width,), given[1], 1e-6)

    return Probe("norm", f"norm of {width}", ((ROWS, width), (width,)), run, (width, width, ROWS))


def activation(width: int) -> Probe:
    """SiLU of a gate, times the other half."""

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        return torch.nn.functional.silu(given[0]) * given[1]

    return Probe("activation", f"SiLU of {width}", ((ROWS, width), (ROWS, width)), run, (1, 1, 1))


def loss(vocab: int) -> Probe:
    """Softmax and cross entropy of each token."""
    labels = np.random.default_rng(vocab).integers(0, vocab, ROWS)

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        target = torch.from_numpy(labels).to(given[0].device)
        return torch.nn.functional.cross_entropy(given[0], target, reduction="none")

    return Probe("loss", f"loss over {vocab} tokens", ((ROWS, vocab),), run, (vocab, vocab), single=True, signed=True)


def lookup(rows: int, width: int) -> Probe:
    """Rows of a table, some of them several times: their gradients add up."""
    ids = np.random.default_rng(rows).integers(0, min(rows, max(2 * ROWS, rows // 64)), 2 * ROWS)

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        return torch.nn.functional.embedding(torch.from_numpy(ids).to(given[0].device), given[0])

    return Probe("lookup", f"embedding of {rows} x {width}", ((rows, width),), run, (1, 2))


def routing(experts: int) -> Probe:
    """Scores of experts and the best few of them."""

    def run(given: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        best, places = torch.softmax(given[0], dim=-1).topk(4, dim=-1)
        return best + places

    return Probe("routing", f"routing over {experts} experts", ((ROWS, experts),), run, (4, 4), single=True)
