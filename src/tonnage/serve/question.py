"""What a plan is asked, as it is kept in the plan, and the facts that it rests on."""

from __future__ import annotations

from tonnage import __version__
from tonnage.provenance import Evidence, Provenance
from tonnage.serve.job import ServeJob
from tonnage.serve.replica.software import Constants
from tonnage.serve.result import ServedFleet, ServeQuestion
from tonnage.system import System


def asked_of(job: ServeJob, system: System, fitted: Constants | None) -> ServedFleet:
    """A fleet with the price and power that its job has."""
    found = system.accelerator.measured
    return ServedFleet(system, job.price, job.power, fitted, None if found is None else found.source)


def facts_of(question: ServeQuestion) -> tuple[str, ...]:
    """Ids of the facts that a question holds: of chips, price list, prices and powers."""
    listed = question.job.price_list
    every = [fact for fleet in question.fleets for fact in fleet.system.accelerator.facts]
    every += () if listed is None else listed.facts
    every += [paid.source for fleet in question.fleets for paid in (fleet.price, fleet.power) if paid is not None]
    return tuple(dict.fromkeys(fact for fact in every if fact))


def provenance(question: ServeQuestion, evidence: Evidence) -> Provenance:
    """Where the answer to a question comes from."""
    return Provenance(facts_of(question), version=__version__, evidence=evidence)
