"""The backward pass of an operator, as operators."""

from __future__ import annotations

from dataclasses import replace

from tonnage.model.operators import Operator

ATTENTION_BACKWARD = 2.5
"""FLOP of a FlashAttention backward over its forward: 5 matrix products against 2 (Dao 2023, arXiv 2307.08691)."""


def backward(operator: Operator) -> tuple[Operator, ...]:
    """Local forward operator -> the operators of its backward pass, of direction `dgrad` and `wgrad`.

    A GEMM (m, n, k) has dgrad (m, k, n) and wgrad: for a matrix of k x n summed over m rows, (k, n, depth m); each has
    the forward's FLOP. The attention core has 2.5 times the forward's FLOP (recomputed scores) and traffic; a scan
    twice; element-wise work reads one gradient more and writes one (twice the traffic); what is no GEMM is one `dgrad`.
    Weights in wgrad are written as gradients, in the activations' precision at least: they are counted in `stream`. A
    look-up scatters.
    """
    if operator.kind == "gemm":
        return (_dgrad(operator), _wgrad(operator))
    if operator.kind == "grouped_gemm":
        return (_dgrad(operator), replace(_dgrad(operator), name=f"{operator.name}_wgrad", direction="wgrad"))
    factor = ATTENTION_BACKWARD if operator.kind == "attention" else 2.0
    scaled = replace(
        operator,
        name=f"{operator.name}_dgrad",
        direction="dgrad",
        flop=operator.flop * factor,
        stream=operator.stream * factor,
        cache_read=operator.cache_read * factor,
        cache_write=0.0 * operator.cache_write,
        saved=0.0,
    )
    return (scaled,)


def _dgrad(operator: Operator) -> Operator:
    """Gradients of the inputs: the outputs' times the transposed weights."""
    name = f"{operator.name}_dgrad"
    return replace(operator, name=name, direction="dgrad", n=operator.k, k=operator.n, saved=0.0)


def _wgrad(operator: Operator) -> Operator:
    """Gradients of the weights: summed over the rows."""
    return replace(
        operator,
        name=f"{operator.name}_wgrad",
        direction="wgrad",
        m=operator.k,
        n=operator.n,
        k=operator.m,
        stream=operator.stream + operator.weight,
        weight=0.0 * operator.weight,
        saved=0.0,
    )
