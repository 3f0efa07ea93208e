"""Predictions held against published, measured results: cases, who is scored, how errors are summed, null model."""

from __future__ import annotations

from tonnage.truth.cases import CaseFile, Skip, load_cases, read_cases

__all__ = ["CaseFile", "Skip", "load_cases", "read_cases"]
