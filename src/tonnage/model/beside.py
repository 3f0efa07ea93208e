"""Files that lie beside a config.json and say how the weights are quantised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tonnage.errors import InputError, Problem, nearest
from tonnage.files import read_json, read_yaml

LARGEST = 16_000_000
"""Largest file of a release that is read [byte]: lists of every expert's format reach 4 MB."""

SECTIONS = ("quantization_config", "quantization", "compression_config", "quantize")
"""Keys of a config.json that say it themselves; then nothing beside it is read."""

DESCRIPTIONS = (
    "quant_model_description.json",
    "quant_model_description_w8a8.json",
    "quant_model_description_w8a8_dynamic.json",
    "quant_model_description_w4a8_dynamic.json",
)
PRESETS: dict[str, dict[str, object]] = {
    "W8A16": {"num_bits": 8, "type": "int", "strategy": "channel"},
    "W4A16": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128},
    "W4A16_ASYM": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": False},
    "W8A8": {"num_bits": 8, "type": "int", "strategy": "channel"},
    "INT8": {"num_bits": 8, "type": "int", "strategy": "channel"},
    "W4A8": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128},
    "W4AFP8": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128},
    "FP8": {"num_bits": 8, "type": "float", "strategy": "tensor"},
    "FP8_DYNAMIC": {"num_bits": 8, "type": "float", "strategy": "channel"},
    "FP8_BLOCK": {"num_bits": 8, "type": "float", "strategy": "block"},
    "NVFP4A16": {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
    "NVFP4": {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
    "MXFP4A16": {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32},
    "MXFP4": {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32},
    "MXFP8": {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 32},
}
"""Preset schemes of compressed-tensors by name: how weights are stored (its `quant_scheme.py`, recalled)."""


def said_beside(path: Path, config: Mapping[str, object]) -> tuple[dict[str, object], str] | None:
    """(what to add to a configuration, the file that says it); None where it says it itself, or nothing does."""
    if any(config.get(key) is not None for key in SECTIONS) and not _bare_ascend(config):
        return None
    text = config.get("text_config")
    if isinstance(text, Mapping) and any(text.get(key) is not None for key in SECTIONS):
        return None
    for name, made in _found(path):
        return {"quantization_config": made}, name
    return None


def _bare_ascend(config: Mapping[str, object]) -> bool:
    """Whether a section says no more than that Ascend's description must be read."""
    section = config.get("quantization_config")
    word = section.get("quant_method") if isinstance(section, Mapping) else config.get("quantize")
    return isinstance(word, str) and (word in ("ascend", "modelslim") or config.get("quantize") == word)


def _found(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """The files that are there, with the section that each stands for."""
    for name in _beside(path, "hf_quant_config.json"):
        yield name, {**_json(name), "quant_method": "modelopt"}
    for description in DESCRIPTIONS:
        for name in _beside(path, description):
            yield name, {"quant_method": "ascend", "description": _json(name)}
    for other in ("quantize_config.json", "quant_config.json", "quantization_config.json"):
        for name in _beside(path, other):
            yield name, _json(name)
    for name in _beside(path, "recipe.yaml"):
        made = _recipe(name)
        if made is not None:
            yield name, made


def _beside(path: Path, name: str) -> list[str]:
    """A file beside a configuration, or one that bears its name before its own (`MODEL.hf_quant_config.json`)."""
    found = [path.with_name(name), path.with_name(f"{path.stem}.{name}")]
    return [str(each) for each in found[: 1 if path.name == "config.json" else 2] if each.is_file()][-1:]


def _json(name: str) -> dict[str, object]:
    value = read_json(name, limit=LARGEST).value
    if not isinstance(value, dict):
        raise InputError(Problem("expected keys and values that say how weights are quantised", where=name))
    return value


def _recipe(name: str) -> dict[str, object] | None:
    """The first modifier of llm-compressor's recipe that quantises, as a section; None where none does."""
    for modifier in _modifiers(read_yaml(name).value, 0):
        ignore = modifier.get("ignore") or []
        if isinstance(modifier.get("config_groups"), Mapping):
            groups = modifier["config_groups"]
        else:
            groups = _preset(modifier, name)
        return {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ignore}
    return None


def _modifiers(value: object, depth: int) -> Iterator[Mapping[str, object]]:
    """Sections of a recipe that set a scheme, in order."""
    if depth > 8 or not isinstance(value, (Mapping, list)):
        return
    if isinstance(value, Mapping) and ("scheme" in value or "config_groups" in value):
        yield value
        return
    for below in value.values() if isinstance(value, Mapping) else value:
        yield from _modifiers(below, depth + 1)


def _preset(modifier: Mapping[str, object], name: str) -> dict[str, object]:
    """The group of a preset scheme, or of several with their targets."""
    scheme, targets = modifier.get("scheme"), modifier.get("targets") or ["Linear"]
    listed = scheme if isinstance(scheme, Mapping) else {scheme: targets}
    groups: dict[str, object] = {}
    for number, (word, whose) in enumerate(listed.items()):
        key = str(word).upper()
        if key not in PRESETS:
            raise InputError(Problem(f'"{key[:40]}" is no scheme that is known', name, "scheme", nearest(key, PRESETS)))
        inputs = None if "A16" in key else {"num_bits": 8, "type": "float"}
        whom = whose if isinstance(whose, list) else [whose]
        groups[f"group_{number}"] = {"weights": PRESETS[key], "input_activations": inputs, "targets": whom}
    return groups
