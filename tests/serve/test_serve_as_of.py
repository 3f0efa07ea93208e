"""As of a day a service has the software of that day."""

import pytest

from tonnage.catalog import load as load_catalog
from tonnage.catalog.software import software
from tonnage.model import load
from tonnage.serve import ServeJob, plan
from tonnage.system import System, accelerator
from tonnage.units import parse_date


def served(chip, date):
    job = ServeJob(load("deepseek-r1"), isl=4400, osl=1200, tpot=0.05, date=date and parse_date(date))
    return plan(job, System(accelerator(chip, load_catalog()), 64))


@pytest.mark.parametrize(("chip", "day"), [("ascend-910c", "2025-02-28"), ("h800-sxm", "2025-01-31")])
def test_experts_over_many_servers_are_not_used_before_they_were_there(chip, day):
    then, now = served(chip, day), served(chip, None)
    assert then.pool.layout.ep <= 16 < now.pool.layout.ep
    assert then.speed.requests < now.speed.requests


def test_from_its_day_on_nothing_is_held_back():
    assert served("ascend-910c", "2026-11-01").pool == served("ascend-910c", None).pool


def test_each_day_has_its_source():
    assert all(feature.source for feature in software().wide_experts.values())
