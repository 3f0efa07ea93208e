"""What is written to a file with `-o`: its ending decides."""

from __future__ import annotations

from pathlib import Path

from tonnage.cli.heard import command
from tonnage.report.answer import render, to_csv
from tonnage.report.envelope import Reply, to_json


def contents(path: Path, reply: Reply, chart: str | None = None) -> str | bytes:
    """The reply as the file's ending has it; chart: the name of the one that a picture shows."""
    ending = path.suffix.lower()
    if ending == ".json":
        return to_json(reply)
    if ending == ".csv":
        return to_csv(reply.answer)
    if ending in reply.pictures and chart is None:
        return reply.pictures[ending]()
    if ending in (".svg", ".png"):
        from tonnage.report.charts import charts_of
        from tonnage.report.pictures import draw, picked

        return draw(picked(charts_of(reply), chart), ending)
    if ending == ".html":
        from tonnage.report.standalone import page

        return page(reply, command())
    if ending == ".md":
        from tonnage.report.markdown import to_markdown

        return to_markdown(reply.answer, command())
    if ending == ".parquet":
        from tonnage.report.frames import parquet, records_of

        return parquet(records_of(reply.answer))
    return render(reply.answer, color=False)
