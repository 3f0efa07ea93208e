"""A verdict in words and as a page."""

from __future__ import annotations

from tonnage.qualify.verdict import Verdict


def words(found: Verdict, width: int = 80) -> str:
    """The verdict in words."""
    return f"{found.device}: {found.verdict}\n"


def page(found: Verdict) -> str:
    """The verdict as one HTML file."""
    return f"<!doctype html><title>{found.verdict}</title>"
