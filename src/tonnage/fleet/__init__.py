"""Many models on one fleet over time: inventory, leases, rules, readiness, allocation, forecast, launch date."""

from __future__ import annotations

from tonnage.fleet.build import read_programme, read_programme_text
from tonnage.fleet.launch import launch
from tonnage.fleet.plan import LaunchPlan
from tonnage.fleet.programme import Programme
from tonnage.fleet.schema import programme_schema

__all__ = ["LaunchPlan", "Programme", "launch", "programme_schema", "read_programme", "read_programme_text"]
