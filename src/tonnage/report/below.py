"""What stands below the charts of an answer, on the page and in its report: of a launch, how right such dates were."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from tonnage.report.charts import Chart
from tonnage.report.charts.launches import charts as played


def below(body: Mapping[str, object]) -> tuple[Chart, ...]:
    """Charts that are not of this answer but say how far to believe it."""
    return _back_test() if body.get("command") == "launch" and body.get("launch") else ()


@functools.cache
def _back_test() -> tuple[Chart, ...]:
    from tonnage.truth.launches import launches

    return played(launches().to_json())
