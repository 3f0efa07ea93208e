"""What the law says of a chip, in the words of a table or a legend."""

from __future__ import annotations

LEGAL = {
    "free": "free",
    "exception": "free, by exception",
    "authorised": "licence, announced",
    "approval": "licence, likely",
    "case-by-case": "licence, case by case",
    "licence": "licence needed",
    "denied": "licence, denied",
    "risk": "free, but a risk",
    "unverified": "not verified",
}
"""Words of each status; one that is not here is its own word."""
