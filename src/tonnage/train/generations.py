"""What the time of a training step needs to know of a generation of chips, by the catalogue's `generation`."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.system import Accelerator

AMPERE, HOPPER, BLACKWELL = 400.0 / 312e12, 700.0 / 989e12, 1200.0 / 2500e12
"""Watts for each 16-bit FLOP/s of the reference part of a generation: A100 SXM, H100 SXM, GB200 (data sheets)."""


@dataclass(frozen=True)
class Generation:
    """watts: for each 16-bit FLOP/s of its reference part [W s/FLOP], None where there is none: a chip is its own;
    own_kernels: attention kernels written for Ampere's matrix unit (FlashAttention 2, arXiv 2307.08691) miss its own;
    device_shapes: grouped products may take their shapes on the device (Megatron-Core on Blackwell).
    """

    watts: float | None = None
    own_kernels: bool = False
    device_shapes: bool = False


_AMPERE, _HOPPER, _BLACKWELL = Generation(AMPERE), Generation(HOPPER, True), Generation(BLACKWELL, True, True)

GENERATIONS = {
    **dict.fromkeys(
        ("volta", "ampere", "cdna2", "ascend-910", "ascend-910b", "ascend-920", "tpu-v4", "tpu-v5e"), _AMPERE
    ),
    **dict.fromkeys(("mluarch03", "mluarch05", "gfx906", "gfx928", "kunlun-2", "kunlun-3", "quyuan"), _AMPERE),
    **dict.fromkeys(("br100", "c500", "dtu-2", "lpu-v1", "battlemage", "ppu"), _AMPERE),
    **dict.fromkeys(("pascal", "gcn5", "cdna1", "rdna3"), _AMPERE),
    **dict.fromkeys(("rdna4",), _HOPPER),
    **dict.fromkeys(("blackwell-thor",), _BLACKWELL),
    **dict.fromkeys(("turing", "tiangai-1", "tiangai-2", "trainium1", "maia-1", "mtia-1", "mtia-2"), _AMPERE),
    **dict.fromkeys(("hopper", "ada", "cdna3", "tpu-v5p", "tpu-v6e", "tpu-v7"), _HOPPER),
    **dict.fromkeys(("gaudi2", "gaudi3", "trainium2", "inferentia2", "pinghu", "dtu-4"), _HOPPER),
    **dict.fromkeys(("lp30", "mtia-3"), _HOPPER),
    **dict.fromkeys(("maia-2", "mtia-4", "mtia-5", "mluarch06"), _BLACKWELL),
    **dict.fromkeys(("ai200", "c600", "gfx936", "kunlun-4", "ppu-2", "wse-3", "xe3p"), Generation()),
    **dict.fromkeys(("blackwell", "blackwell-rtx", "rubin", "cdna4", "cdna5", "trainium3"), _BLACKWELL),
    **dict.fromkeys(("tpu-8t", "tpu-8i", "ascend-950", "ascend-960", "ascend-970"), _BLACKWELL),
}
"""Chips of other makers are held against the NVIDIA generation of their time and formats, as in the fit (assumption:
16-bit chips against Ampere, those with FP8 against Hopper, those with FP4 against Blackwell); of those whose rates
are not known nothing is."""


def generation(chip: Accelerator) -> Generation:
    """What is known of a chip's generation; nothing where the catalogue does not say which it is."""
    return GENERATIONS.get(chip.generation or "", Generation())
