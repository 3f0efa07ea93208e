"""Every run draws the same examples, a failure found once is found again; and nothing is kept beyond it."""

import os

from hypothesis import settings

os.environ["TONNAGE_CACHE"] = os.environ["TONNAGE_LEDGER"] = "off"

settings.register_profile("steady", derandomize=True, deadline=None, database=None, print_blob=False)
settings.load_profile("steady")
