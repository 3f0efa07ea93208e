"""Which layers lie in which chunk of a pipeline, where they do not divide, in the words of Megatron's layouts."""

from __future__ import annotations

from itertools import groupby


def chunks(layers: int, count: int) -> tuple[int, ...]:
    """Layers of each chunk, in the order in which a token meets them.

    Places that stay free are left by the last chunk first (head), then by the first (embedding), then by those before
    the last: Llama 3 405B has 126 layers in 128 places that way (arXiv 2407.21783, section 3.3.2).
    """
    most = -(-layers // count)
    held = [most] * count
    order = [count - 1, 0, *range(count - 2, 0, -1)]
    for place in range(most * count - layers):
        held[order[place % count]] -= 1
    return tuple(held)


def even(layers: int, count: int) -> bool:
    """Whether chunks hold equally many layers."""
    return layers % count == 0


def written(layers: int, count: int, mtp: int) -> str:
    """`Ett|(ttt|)*29,mL`: embedding, layers, layers that predict more tokens, loss (Megatron-LM,
    `core/transformer/pipeline_parallel_layer_layout.py`).
    """
    held = ["t" * number for number in chunks(layers, count)]
    held[0] = "E" + held[0]
    held[-1] = held[-1] + "m" * mtp + "L"
    parts = [(text, len(list(same))) for text, same in groupby(held[:-1])]
    return "".join(f"({text}|)*{many}," if many > 1 and text else f"{text}|" * many for text, many in parts) + held[-1]
