"""`tonnage sources RESULT.json`: where the facts in a saved answer come from."""

from __future__ import annotations

from pathlib import Path

from tonnage.ask.saved import read_answer
from tonnage.cli.common import SAVED, SavedOptions, check_outputs, finish
from tonnage.report.envelope import Reply


def sources(result: Path, /, *, common: SavedOptions = SAVED) -> int:
    """Where the facts in a saved answer come from.

    Parameters
    ----------
    result
        a result saved with `-o FILE.json`.
    """
    from tonnage.report.sources import answer, facts_of

    saved = read_answer(result)
    check_outputs(common)
    catalog = common.load_catalog()
    facts, lost = facts_of(saved, catalog)
    same = saved.get("catalog") == catalog.digest
    body = {"facts": list(facts), "lost": list(lost), "same_catalog": same}
    said = answer(str(saved["command"]), facts, lost, same=same)
    return finish(Reply("sources", {"result": str(result)}, body, said, catalog=catalog), common)
