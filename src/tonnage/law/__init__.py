"""Export rules as dated, sourced, executable data.

`classify` says under which rules a chip falls on a day; `lawful` whether a lot may be planned on; `rule_book` gives the
rules, also as known on a day, without one, or with one changed; `explain` and `rule_rows` put answers into words.
Planning figures, not legal advice.
"""

from __future__ import annotations

from tonnage.law.book import RuleBook, rule_book
from tonnage.law.buyer import Buyer
from tonnage.law.classify import Classification, Fee, Finding, Measure, classify, thresholds
from tonnage.law.criteria import ChipTraits, Margin, performance_density, tpp, traits, traits_from_mapping
from tonnage.law.data import Party, Rule, RuleSource, load_rules
from tonnage.law.design import (
    Shares,
    designed,
    lawful_designs,
    licence_refused,
    licensed_designs,
    limits_above,
    limits_met,
)
from tonnage.law.lawful import Lawful, free_windows, lawful
from tonnage.law.moves import Arrivals, ThresholdMove, known_fee, least_moves, moves_text
from tonnage.law.rules import open_questions, rule_rows, rule_state, source_rows
from tonnage.law.words import explain

__all__ = [
    "Arrivals",
    "Buyer",
    "ChipTraits",
    "Classification",
    "Fee",
    "Finding",
    "Lawful",
    "Margin",
    "Measure",
    "Party",
    "Rule",
    "RuleBook",
    "RuleSource",
    "Shares",
    "ThresholdMove",
    "classify",
    "designed",
    "explain",
    "free_windows",
    "known_fee",
    "lawful",
    "lawful_designs",
    "least_moves",
    "licence_refused",
    "licensed_designs",
    "limits_above",
    "limits_met",
    "load_rules",
    "moves_text",
    "open_questions",
    "performance_density",
    "rule_book",
    "rule_rows",
    "rule_state",
    "source_rows",
    "thresholds",
    "tpp",
    "traits",
    "traits_from_mapping",
]
