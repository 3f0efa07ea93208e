"""Dispatch and combine of experts: the quicker of two kernels, and no more domains than the router allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tonnage import catalog
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.serve.replica.formats import formats
from tonnage.serve.replica.points import Traffic, decode_parts, prefill_parts
from tonnage.serve.replica.software import Software
from tonnage.serve.replica.step import Service
from tonnage.system import Collective, accelerator, collective_time, per_die

FACTS = catalog.load()
H800 = per_die(accelerator("h800-sxm", FACTS))
V3 = load("deepseek-v3", FACTS)
WIDE = Layout(tp=1, dp=144, ep=144)
TRAFFIC = Traffic(isl=4000.0, osl=1000.0)


def service(arch=V3, die=H800):
    return Service(arch, die, formats(arch, die, "fp8", None).precision, Software())


def sent(tokens: float, *, forwarding: bool, limit: float = np.inf) -> float:
    payload = tokens * V3.hidden * (1 + 4 / 128)
    one = Collective("ep.dispatch", "all_to_all", payload, 144, 1, 1, 8.0, limit, forwarding)
    return float(collective_time(one, H800, fused=True))


def test_few_tokens_go_straight_and_many_are_passed_on():
    assert sent(8, forwarding=False) < sent(8, forwarding=True)
    assert sent(4096, forwarding=True) < sent(4096, forwarding=False)


def test_a_token_may_visit_four_of_eight_groups_of_deepseek_v3():
    assert V3.routing_groups == (8, 4)
    assert load("qwen3-235b-a22b", FACTS).routing_groups == (1, 1)


def test_node_limited_routing_sends_less_across_nodes():
    free = replace(V3, config={**V3.config, "n_group": 1, "topk_group": 1})
    limited, unlimited = (float(prefill_parts(service(arch), WIDE, TRAFFIC, 4096.0).exchange) for arch in (V3, free))
    assert limited < unlimited
    # 8 groups on 18 nodes: 4 of them on 9; distinct nodes of 8 copies drawn from 9 against from 18
    nodes = [n * (1 - (1 - 1 / n) ** 8) for n in (9.0, 18.0)]
    assert limited / unlimited == pytest.approx(nodes[0] / nodes[1], rel=0.1)


def test_inside_one_domain_the_limit_says_nothing():
    free = replace(V3, config={**V3.config, "n_group": 1, "topk_group": 1})
    one = Layout(tp=1, dp=8, ep=8)
    times = [float(decode_parts(service(arch), one, TRAFFIC, 64.0).exchange) for arch in (V3, free)]
    assert times[0] == pytest.approx(times[1]) and times[0] > 0


@pytest.mark.parametrize("tokens", [1.0, 32.0, 512.0, 8192.0])
def test_the_step_takes_the_quicker_kernel(tokens):
    spent = float(prefill_parts(service(), WIDE, replace(TRAFFIC, isl=tokens), tokens).exchange)
    layers, limit = 58, 9.0  # 4 of 8 groups on 18 nodes

    def took(element: float, forwarding: bool) -> float:
        payload = tokens * V3.hidden * element
        one = Collective("ep", "all_to_all", payload, 144, 1, 1, 8.0, limit, forwarding)
        return float(collective_time(one, H800, fused=True))

    quickest = [min(took(element, True), took(element, False)) for element in (1 + 4 / 128, 2.0)]
    assert spent == pytest.approx(layers * sum(quickest))
