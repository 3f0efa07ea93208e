"""The memory bar: what fills an accelerator, part after part, against what it has."""

from __future__ import annotations

from tonnage.report.charts.bars import BarRow, LimitLine, bars
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.reading import Body, number, numbers
from tonnage.report.memory import room_there
from tonnage.units import show_memory, show_share

GB = 1e9

PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "kv_cache": "KV cache",
    "activations": "activations",
    "buffers": "buffers",
    "slack": "slack",
}
"""Parts in the order in which they are stacked, and what they are called."""


def memory(body: Body, key: str = "memory", title: str = "memory of one accelerator") -> tuple[Chart, ...]:
    """Each part begins where the one before ends; the last row is all of them, the line is what there is."""
    held = numbers(body, key)
    capacity, total = room_there(held), held.get("total")
    parts = [(PARTS[name], held[name]) for name in PARTS if held.get(name, 0.0) > 0]
    if capacity is None or total is None or not parts:
        return ()
    rows, below = [], 0.0
    for label, size in parts:
        rows.append(
            BarRow(label, below, below + size, show_memory(size), f"{show_share(size / capacity)} of the memory")
        )
        below += size
    over = total > capacity
    rows.append(
        BarRow("together", 0.0, total, f"{show_memory(total)}{' : too much' if over else ''}", _doubt(body, key))
    )
    if over:
        rows[-1] = BarRow("together", 0.0, total, f"{show_memory(total)}, too much", _doubt(body, key), "alert")
    elif capacity > 1.002 * total:
        rows.append(BarRow("free", total, capacity, show_memory(capacity - total), "", "track"))
    largest = ", ".join(f"{label} {show_memory(size)}" for label, size in sorted(parts, key=lambda p: -p[1])[:3])
    said = f"{show_memory(total)} of {show_memory(capacity)} on an accelerator: {largest}."
    return (
        bars(
            key.replace("_", "-"),
            title,
            said,
            rows,
            axis="GB",
            limits=(LimitLine(capacity, f"{show_memory(capacity)} there"),),
            scale=GB,
        ),
    )


def _doubt(body: Body, key: str) -> str:
    low, high = number(body, key, "total_low"), number(body, key, "total_high")
    return "" if low is None or high is None else f"90 %: {show_memory(low)} to {show_memory(high)}"
