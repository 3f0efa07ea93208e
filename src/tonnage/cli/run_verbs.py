"""`tonnage run VERB`: plans carried out. Each verb is imported when it is asked for."""

from __future__ import annotations

from cyclopts import App

SUBVERBS = {
    "serve": "An OpenAI-compatible address before real engines: several models, shares, canary, tenants.",
    "train": "Train a small model of a real architecture: resumed after anything, moved to other devices.",
}
"""What can be run; the verb NAME is the function NAME of `tonnage.cli.run_NAME`."""

run = App(name="run", help="Plans carried out.", help_format="plaintext", result_action="return_value")
for _verb, _summary in SUBVERBS.items():
    run.command(f"tonnage.cli.run_{_verb}:{_verb}", name=_verb, help=_summary)
