"""What training frameworks do, as properties of a stack: which kernels, what is fused, what is hidden, how tuned.

A framework is recognised by a word in its name; an unknown name, or none, is taken as the newest Megatron-like stack.
Sources: each framework's documentation and the papers named.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """Properties of a stack.

    fused: element-wise operators come as fused kernels (Transformer Engine, Apex, MindSpeed) or from a compiler; kernels:
    attention kernels of the `vendor` for its newest chips (cuDNN, FlashAttention 3, CANN), or `generic` ones
    (FlashAttention 2 and its Triton kin, arXiv 2307.08691, written for Ampere's matrix unit); tuned: made and tuned for
    the run that is reported, so that the age of the software says nothing; selective: share of matrix products that
    selective recomputation repeats (torchtitan's default repeats every second one); loss_bytes: bytes alive for each logit
    (fused vocabulary-parallel loss; eager: 16-bit logits, a 32-bit copy, its softmax and its gradient); narrow_saved:
    inputs of 8-bit products are kept in 8 bits; usual: year of the software where a source gives none.
    """

    fused: bool = True
    kernels: str = "vendor"
    tuned: bool = False
    selective: float = 0.0
    loss_bytes: float = 6.0
    narrow_saved: bool = True
    usual: float | None = None


KNOWN: tuple[tuple[str, Traits], ...] = (
    ("torchtitan", Traits(fused=False, kernels="generic", selective=0.5, loss_bytes=12.0, narrow_saved=False)),
    ("llm-foundry", Traits(fused=False, kernels="generic", usual=2023.8, loss_bytes=12.0)),
    ("fsdp", Traits(fused=False, kernels="generic", loss_bytes=12.0, narrow_saved=False)),
    ("deepspeed", Traits(fused=False, kernels="generic", loss_bytes=12.0)),
    ("internevo", Traits(kernels="generic")),
    ("hai-llm", Traits(tuned=True)),
    ("megascale", Traits(tuned=True)),
    ("internal", Traits(tuned=True)),
    ("t5x", Traits(tuned=True)),
)
"""Words and traits, the first that fits wins."""

DEFAULT = Traits()


def traits(framework: str | None) -> Traits:
    """Traits of a framework by its name."""
    name = (framework or "").lower()
    return next((known for word, known in KNOWN if word in name), DEFAULT)
