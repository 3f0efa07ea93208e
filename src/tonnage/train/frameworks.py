"""What training frameworks do, as properties of a stack: which kernels, what is fused, what is hidden, how tuned.

A framework is recognised by a word in its name; an unknown name, or none, is taken as the newest Megatron-like stack.
Sources: each framework's documentation and the papers named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Traits:
    """Properties of a stack.

    fused: element-wise operators come as fused kernels (Transformer Engine, Apex, MindSpeed) or from a compiler;
    kernels: attention kernels of the `vendor` for its newest chips (cuDNN, FlashAttention 3, CANN), or `generic` ones
    (FlashAttention 2 and its Triton kin, arXiv 2307.08691, written for Ampere's matrix unit); tuned: made and tuned for
    the run that is reported, so that the age of the software says nothing; gradients, weights: year from which the
    reduction of gradients and the gathering of weights run behind compute; tensor: year from which tensor-parallel
    collectives do; wire: bytes of a gradient on the wire; turns: ZeRO gives whole
    parameters to ranks, which broadcast theirs one after the other; selective: share of matrix products that selective
    recomputation repeats (torchtitan's default repeats every second one); stops: full
    recomputation stops before a layer's last product, which nothing needs (PyTorch's early stop, from 2.1 on);
    loss_bytes: bytes alive for each logit (fused
    vocabulary-parallel loss; eager: 16-bit logits, a 32-bit copy, its softmax and its gradient); narrow_saved: inputs
    of 8-bit products are kept in 8 bits; usual: year of the software where a source gives none.
    """

    fused: bool = True
    kernels: str = "vendor"
    tuned: bool = False
    gradients: float = 2023.75
    weights: float = 2023.75
    tensor: float = 2023.75
    wire: float = 4.0
    turns: bool = False
    selective: float = 0.0
    stops: bool = False
    loss_bytes: float = 6.0
    narrow_saved: bool = True
    usual: float | None = None


NEVER = 9999.0
EAGER = Traits(
    fused=False,
    kernels="generic",
    gradients=0.0,
    weights=0.0,
    tensor=NEVER,
    stops=True,
    loss_bytes=12.0,
    narrow_saved=False,
)
"""PyTorch without a vendor's kernels; FSDP prefetches (arXiv 2304.11277)."""
NEMO = Traits(gradients=2022.0, weights=2022.0, tensor=2023.5, wire=2.0)
"""NeMo and what grew from it: its distributed optimizer overlapped from the start, its recipes reduce in 16 bits
(`grad_reduce_in_fp32: false`), user buffers overlap tensor parallelism from Transformer Engine 0.12 on."""
OWN = Traits(tuned=True, gradients=0.0, weights=0.0, tensor=0.0)
"""A stack tuned for one run and reported with it."""

KNOWN: tuple[tuple[str, Traits], ...] = (
    ("torchtitan", replace(EAGER, selective=0.5)),
    ("llm-foundry", replace(EAGER, usual=2023.8)),
    ("fsdp", EAGER),
    ("deepspeed", EAGER),
    ("internevo", Traits(kernels="generic", gradients=0.0, weights=NEVER, tensor=NEVER, turns=True)),
    ("hai-llm", OWN),
    ("megascale", OWN),
    ("internal", OWN),
    ("t5x", OWN),
    ("bridge", NEMO),
    ("nemo", NEMO),
    ("pytorch nvidia", NEMO),
    ("megatron-core", replace(NEMO, tensor=NEVER)),
    ("mindspeed", Traits(tensor=NEVER)),
    ("modellink", Traits(tensor=NEVER)),
)
"""Words and traits, the first that fits wins."""

DEFAULT = NEMO


def known(framework: str) -> bool:
    """Whether a name has a word that traits are known by."""
    return any(word in framework.lower() for word in names())


def names() -> tuple[str, ...]:
    """Words that frameworks are known by."""
    return (*(word for word, _ in KNOWN), "megatron")


def traits(framework: str | None) -> Traits:
    """Traits of a framework by its name; Megatron's own where a name has none of the words, the newest without one."""
    if framework is None:
        return DEFAULT
    name = framework.lower()
    return next((found for word, found in KNOWN if word in name), Traits())
