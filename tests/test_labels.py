"""Names of operators and collectives are labels for people: renaming all of them changes no figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pytest

from tonnage import catalog
from tonnage.layout import Layout, backward, collectives, gradient_collectives, shard
from tonnage.model import Load, Operator, Step, bundled_names, counts, load, operators, params
from tonnage.serve.replica import afd, memory, step
from tonnage.serve.replica.formats import formats
from tonnage.serve.replica.software import Software
from tonnage.serve.replica.step import Service
from tonnage.system import Collective, Precision, System, accelerator, operator_time, per_die
from tonnage.train import TrainJob, pieces, work

FACTS = catalog.load()
H800 = per_die(accelerator("h800-sxm", FACTS))
IDS = sorted({load(name, FACTS).name for name in bundled_names()})
FAMILIES = (
    *("llama-3.1-8b", "gpt-3-175b", "gemma-4-26b-a4b", "gemma-4-e2b", "llama-4-scout", "gpt-oss-120b", "mixtral-8x22b"),
    *("deepseek-v2-lite", "deepseek-v3", "deepseek-v3.2", "deepseek-v4-flash", "minimax-m3", "qwen3-235b-a22b"),
    *("qwen3-next-80b-a3b-instruct", "nemotron-3-super", "kimi-k3", "inkling"),
)
"""One or more of dense models, mixtures, latent and sparse attention, hybrids and linear attention."""
LAYOUTS = (Layout(dp=16, ep=16), Layout(tp=4, dp=4, ep=4, etp=2), Layout(tp=2, cp=2, dp=4, ep=2, etp=2))


def opaque(names: Sequence[str]) -> list[str]:
    return [f"w{number}" for number in range(len(names))]


def swapped(names: Sequence[str]) -> list[str]:
    """Each has the name of another, which says what it is not."""
    return [*names[3:], *names[:3]]


RENAMINGS = (opaque, swapped)
Renaming = Callable[[Sequence[str]], list[str]]


Named = TypeVar("Named", Operator, Collective)


def renamed(found: Sequence[Named], names: Renaming) -> tuple[Named, ...]:
    return tuple(replace(one, name=name) for one, name in zip(found, names([o.name for o in found]), strict=True))


def same(one: object, other: object) -> None:
    """Equal in everything but names."""
    assert type(one) is type(other)
    if is_dataclass(one):
        for field in fields(one):
            if field.name != "name":
                same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, (tuple, list)):
        for a, b in zip(one, other, strict=True):  # type: ignore[call-overload]
            same(a, b)
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("names", RENAMINGS)
@pytest.mark.parametrize("model", IDS)
def test_shards_collectives_and_gradients_do_not_depend_on_names(model: str, names: Renaming) -> None:
    arch = load(model, FACTS)
    made = operators(arch, Step((Load(2.0, 512.0), Load(8.0, 1.0, 4000.0)), 1024.0, mtp=arch.mtp is not None))
    others = renamed(made, names)
    for cut in LAYOUTS:
        for parallel in (True, False):
            local = shard(made, cut, sequence_parallel=parallel, imbalance=1.2)
            same(local, shard(others, cut, sequence_parallel=parallel, imbalance=1.2))
            same(
                collectives(made, cut, sequence_parallel=parallel),
                collectives(others, cut, sequence_parallel=parallel),
            )
    for one, other in zip(local, renamed(local, names), strict=True):
        same(backward(one), backward(other))


def test_the_exchange_of_deepseek_v3_stands_by_what_its_experts_are() -> None:
    """4,096 tokens x 7,168 in 8 bits there and in 16 bits back, whatever the last product is called."""
    made = operators(load("deepseek-v3", FACTS), Step((Load(1.0, 4096.0),), 4096.0))
    others = [replace(o, name="expert_w2") if o.name == "expert_down" else o for o in made]
    sent = [
        sum(float(c.payload) for c in collectives(found, LAYOUTS[0], dispatch=1.0) if c.kind == "all_to_all")
        for found in (made, others)
    ]
    assert sent[0] == sent[1] == 3 * 4096 * 7168


@pytest.mark.parametrize("model", FAMILIES)
def test_attention_backward_is_priced_by_its_direction(model: str) -> None:
    arch = load(model, FACTS)
    made = operators(arch, Step((Load(1.0, 4096.0),), 4096.0))
    found = [o for o in made if o.kind == "attention"]
    for one in (back for core in found for back in backward(core)):
        timing = operator_time(one, H800, Precision())
        same(timing, operator_time(replace(one, name="core"), H800, Precision()))
        assert timing.seconds > operator_time(replace(one, direction="forward"), H800, Precision()).seconds


def relabel(monkeypatch: pytest.MonkeyPatch, places: Sequence[object], names: Renaming) -> None:
    """Everything that a room gets from model and layout comes under other names."""
    for place in places:
        for name, real in (
            ("operators", operators),
            ("collectives", collectives),
            ("gradient_collectives", gradient_collectives),
            ("backward", backward),
        ):
            if hasattr(place, name):
                monkeypatch.setattr(place, name, under(real, names))


def under(real: Callable[..., Any], names: Renaming) -> Callable[..., Any]:
    return lambda *given, **options: renamed(real(*given, **options), names)


@pytest.mark.parametrize("names", RENAMINGS)
@pytest.mark.parametrize("model", FAMILIES)
def test_a_serving_step_costs_the_same(monkeypatch: pytest.MonkeyPatch, model: str, names: Renaming) -> None:
    arch = load(model, FACTS)
    service = Service(arch, H800, formats(arch, H800, None, None).precision, Software())
    sides = afd.AfdSides(Layout(tp=2, dp=8), Layout(dp=2, ep=8, etp=2))
    loads = (Load(2.0, 512.0), Load(8.0, 1.0, 4000.0))

    def priced() -> list[object]:
        made: list[object] = [step.parts(service, cut, loads, 10.0) for cut in LAYOUTS if cut.cp == 1]
        made += [memory.weight_bytes(arch, service.precision, cut) for cut in LAYOUTS]
        if arch.moe:
            made.append(afd.ffn_parts(service, sides, afd.Traffic(4000.0, 1000.0), np.asarray(16.0)))
        return made

    before = priced()
    relabel(monkeypatch, (step, memory, afd), names)
    same(before, priced())


@pytest.mark.parametrize("names", RENAMINGS)
@pytest.mark.parametrize("model", FAMILIES)
def test_training_work_is_the_same(monkeypatch: pytest.MonkeyPatch, model: str, names: Renaming) -> None:
    job = TrainJob(load(model, FACTS), 4096, 64, None, "fp8", shard_group=8)
    system = System(accelerator("h800-sxm", FACTS), 64)
    several = Layout(**{name: np.array([2, 1]) for name in ("tp", "ep")}, dp=np.array([32, 64]), pp=np.array([1, 1]))
    several = pieces.grid.flatten(several)[0]
    before = pieces.measure(job, system, several)
    relabel(monkeypatch, (work, pieces), names)
    same(before, pieces.measure(job, system, several))


@pytest.mark.parametrize("model", IDS)
def test_parameters_of_the_tables_do_not_depend_on_names(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    arch = load(model, FACTS)
    before = params(arch)
    relabel(monkeypatch, (counts,), opaque)
    after = params(arch)
    assert (after.total, after.active, after.mtp, after.embedding) == (
        before.total,
        before.active,
        before.mtp,
        before.embedding,
    )


@pytest.mark.parametrize("model", IDS)
def test_every_layer_of_experts_has_one_way_up_and_one_down(model: str) -> None:
    arch = load(model, FACTS)
    made = operators(arch, Step((Load(1.0, 1.0),), 1.0, mtp=arch.mtp is not None))
    for block in {o.block for o in made if o.kind == "grouped_gemm"}:
        roles = sorted(o.role for o in made if o.block == block and o.kind == "grouped_gemm")
        assert roles == ["down", "up"]
    assert sum(o.role == "router" for o in made) == len({o.block for o in made if o.kind == "grouped_gemm"})
