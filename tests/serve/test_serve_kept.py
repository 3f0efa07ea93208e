"""Steps that are kept while many services are asked for: the same as priced, each priced once."""

from dataclasses import fields, replace

import numpy as np
import pytest

from tonnage import catalog
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.serve import ServeJob
from tonnage.serve.replica import step
from tonnage.serve.replica.points import Traffic, decode_parts
from tonnage.serve.replica.step import PassTimes, Service, keeping_steps
from tonnage.serve.search.grid import serve_setting
from tonnage.system import System, accelerator

CATALOG = catalog.load()
TRAFFIC = Traffic(1000.0, 200.0)
LAYOUT = Layout(tp=8, ep=8)


def service(chip: str = "h200", model: str = "deepseek-v3") -> Service:
    job = ServeJob(load(model, CATALOG), isl=1000, osl=200)
    return serve_setting(job, System(accelerator(chip, CATALOG), 8)).service


def priced(served: Service, running: object) -> PassTimes:
    return decode_parts(served, LAYOUT, TRAFFIC, running)  # type: ignore[arg-type]


def same(one: PassTimes, other: PassTimes) -> bool:
    return all(np.array_equal(getattr(one, item.name), getattr(other, item.name)) for item in fields(one))


def test_a_kept_step_is_the_one_that_would_be_priced(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, real = [], step._parts
    monkeypatch.setattr(step, "_parts", lambda *given: (counted.append(given), real(*given))[1])
    served, many = service(), np.array([1.0, 8.0, 64.0])
    plain = priced(served, many)
    with keeping_steps():
        first, again = priced(served, many), priced(service(), many.copy())
        assert first is again and same(first, plain)
    assert len(counted) == 2
    priced(served, many)
    assert len(counted) == 3


def test_what_a_step_depends_on_is_not_mixed_up() -> None:
    served = service()
    groups = {"n_group": 8, "topk_group": 2}
    other = replace(served.arch, config={**served.arch.config, **groups})
    asked = [
        (served, 8.0),
        (served, np.array([8.0, 16.0])),
        (service("h20"), 8.0),
        (replace(served, tuning=replace(served.tuning, imbalance=1.5)), 8.0),
        (replace(served, precision=replace(served.precision, cache="fp8")), 8.0),
        (replace(served, arch=other), 8.0),
    ]
    assert other == served.arch  # configurations are not compared, and yet routing is read from them
    plain = [priced(*one) for one in asked]
    with keeping_steps():
        kept = [priced(*one) for one in [*asked, *asked]]
    assert all(same(one, other) for one, other in zip(kept, [*plain, *plain], strict=True))
    assert len({id(one) for one in kept}) == len(asked)
