"""Whether a sequence is longer than the model can take, and what would extend it."""

from __future__ import annotations

import math

from tonnage.errors import Bind
from tonnage.model import Architecture
from tonnage.serve.job import ServeJob, asking

EXTENDED = 8
"""Factor by which YaRN is taken to extend a context at most: the paper's models go so far (arXiv 2309.00071)."""


def too_long(arch: Architecture, tokens: float, flag: str) -> Bind | None:
    """What binds where a sequence of `tokens` is beyond the model's context; None where it is not, or not known."""
    if not arch.context or tokens <= arch.context:
        return None
    text = f"{tokens:,.0f} tokens are beyond the {arch.context:,} that {arch.title} takes"
    return Bind("context", text, tokens / arch.context, f"{flag}{_stretch(arch, tokens)}")


def beyond(job: ServeJob) -> Bind | None:
    """The same for a request of a service: its input, and its output where it decodes."""
    output = 1.0 if job.mode == "prefill" else float(job.osl)
    whole = float(job.isl) + output
    room = max(job.arch.context - output, 0)
    return too_long(job.arch, whole, f"{asking('isl', f'{room:.0f}')}" if room >= 1 else "shorter requests")


def _stretch(arch: Architecture, tokens: float) -> str:
    """The setting of the release that extends its context, if one can be said."""
    factor = tokens / arch.native_context
    if factor > EXTENDED:
        return ""
    scaled = max(math.ceil(factor * 2) / 2, 1.5)
    return (
        f', or rope_scaling {{"rope_type": "yarn", "factor": {scaled:g}, "original_max_position_embeddings": '
        f"{arch.native_context}}} in its config.json (the makers promise no quality there)"
    )
