"""What a million tokens cost: the price of the accelerators over what they put out."""

from __future__ import annotations

from tonnage.serve.job import Price


def per_million(price: Price | None, share: float, tokens_per_second_per_accelerator: float) -> float | None:
    """Cost of a million tokens [USD]: price x share of the time that goes into them / their rate x 1e6.

    share: of all accelerators' time, prefill for input tokens and decode for output tokens, so that the two add up to
    the whole bill. None when there is no price, or no such tokens.
    """
    if price is None or not tokens_per_second_per_accelerator > 0:
        return None
    return price.value * share / tokens_per_second_per_accelerator * 1e6
