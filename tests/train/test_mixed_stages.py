"""One pipeline over unlike chips: the plain pipeline where they are alike, whole layers, memory, the better way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.layout import parse_layout
from tonnage.model import load
from tonnage.model.counts import params
from tonnage.system import System, accelerator
from tonnage.train import TrainJob, plan
from tonnage.train.mixed import groups, mixed
from tonnage.train.mixed_stages import PipelinePart, cut_out, joined, staged
from tonnage.train.search import capacity
from tonnage.train.software import fitted

CATALOG = catalog.load()
ARCH = load("llama-3.1-8b", CATALOG)
JOB = TrainJob(ARCH, 4096, 1024)
H100 = System(accelerator("h100-sxm", CATALOG), 64)
H800 = System(accelerator("h800-sxm", CATALOG), 64)
H20 = System(accelerator("h20", CATALOG), 64)


def test_two_halves_of_one_cluster_are_the_plain_pipeline() -> None:
    half = parse_layout("tp1,pp2,dp32,zero1,mbs1,recompute=selective")
    both = staged(JOB, (H100, H100), (half, half))
    assert both is not None
    fixed = parse_layout("tp1,pp4,dp32,zero1,mbs1,recompute=selective,schedule=1f1b")
    plain = plan(JOB, replace(H100, count=128), fixed)
    assert both.step_time == pytest.approx(plain.run.step_time.value, rel=0.03)
    assert abs(both.parts[0].layers - 16) <= 2


def test_the_step_by_hand() -> None:
    job = replace(JOB, global_batch=64)
    layout = plan(job, H100, parse_layout("tp1,pp1,dp8,cp8,zero1,mbs2")).layout
    assert layout is not None
    memory = plan(job, H100, parse_layout("tp1,pp1,dp8,cp8,zero1,mbs2")).memory
    assert memory is not None
    far = replace(H100, accelerator=replace(H100.accelerator, nic=1e30))
    one = PipelinePart(far, job, layout, memory, slow=2.0, rest=3.0, tail=0.5)
    other = PipelinePart(far, job, layout, memory, slow=1.0, rest=4.0, tail=0.7)
    jitter = 1 + fitted().constants.jitter * 4.852030263919617
    expected = (4 * 2.0 + (2.0 + 3.0 + 1.0 + 4.0) - 2.0 + 0.7) * jitter
    assert joined(job, (one, other)).step_time == pytest.approx(expected), "ln 128 = 4.852; 64 / (8 x 2) micro-batches"


def test_a_thin_wire_between_parts_is_slower() -> None:
    thin = replace(H800, accelerator=replace(H800.accelerator, nic=1e9))
    same = {"dp": 32, "mbs": 1}
    fast, slow = staged(JOB, (H100, H800), (same, same)), staged(JOB, (H100, thin), (same, same))
    assert fast is not None and slow is not None
    assert slow.between > fast.between and slow.step_time > fast.step_time


def test_layers_are_whole_follow_speed_and_all_parts_fit() -> None:
    found = staged(JOB, (H100, H20), ({"dp": 16, "mbs": 1}, {}))
    assert found is not None
    assert sum(part.layers for part in found.parts) == 32
    held = {part.system.accelerator.name: part.layers for part in found.parts}
    assert held["h100-sxm"] > 3 * held["h20-96gb"], "989 and 148 TFLOP/s"
    assert found.parts[0].system is H20, "the larger memory comes first"
    assert all(part.memory.total <= capacity(part.system) for part in found.parts)


def test_cutting_loses_no_parameter_but_for_the_ends() -> None:
    arch = load("deepseek-v3", CATALOG)
    first, last = cut_out(arch, 0, 20), cut_out(arch, 20, arch.depth)
    assert first.depth + last.depth == arch.depth
    ends = params(first).embedding
    assert params(first).total + params(last).total == pytest.approx(params(arch).total + ends, rel=1e-4)


def test_stages_hold_what_no_group_can() -> None:
    job = TrainJob(load("llama-3.1-405b", CATALOG), 4096, 256)
    assert groups(job, (H800, H20)).parts == ()
    found = mixed(job, (H800, H20), prices=(2.0 / 3600, 1.0 / 3600))
    assert found.way == "stages"
    assert "groups cannot be" in found.why
    assert sum(part.layers for part in found.parts) == 126
    assert found.step_time is not None
    assert sum(found.breakdown.values()) == pytest.approx(found.step_time.value)
    assert [part.system.accelerator.name for part in found.parts] == ["h800-sxm", "h20-96gb"], "as given"


def test_the_better_way_is_taken_and_says_what_the_other_loses_by() -> None:
    found = mixed(JOB, (H100, H800))
    assert found.other is not None and found.together is not None and found.together > found.other
    assert "slower" in found.why
