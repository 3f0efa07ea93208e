"""What a million tokens cost in money and energy, and what they bring at a list of prices."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tonnage.errors import InputError, MissingFact, Problem, nearest
from tonnage.layout import Layout
from tonnage.serve.job import ChipPower, ChipPrice, PriceList
from tonnage.serve.replica.points import Traffic, prefill_only
from tonnage.serve.replica.step import Service
from tonnage.values import Plain

if TYPE_CHECKING:
    from tonnage.catalog import Catalog, Record

DAY = 86400.0
USD = "USD/token"
_LISTED = ("api.input_hit", "api.input_miss", "api.output")


def per_million(
    price: ChipPrice | ChipPower | None, share: float, tokens_per_second_per_accelerator: float
) -> float | None:
    """Cost [USD], or energy [J], of a million tokens: price or power x share of the time that goes into them / their
    rate x 1e6.

    share: of all accelerators' time, prefill for input tokens and decode for output tokens, so that the two add up to
    the whole bill. None when there is no price, or no such tokens.
    """
    if price is None or not tokens_per_second_per_accelerator > 0:
        return None
    return price.value * share / tokens_per_second_per_accelerator * 1e6


def cached_share(service: Service, layout: Layout, traffic: Traffic, chunk: float) -> float | None:
    """Share of prefill's time that cached input tokens cost: what attention over them adds to the prefill of the rest.

    1 - t(fresh tokens alone) / t(fresh tokens behind the cached ones). Room that the cache takes between requests is
    not in it. None without cached tokens.
    """
    if not float(traffic.hit) > 0:
        return None
    fresh = replace(traffic, isl=traffic.fresh, hit=0.0, context=None)
    behind = float(prefill_only(service, layout, traffic, chunk).capacity)
    alone = float(prefill_only(service, layout, fresh, chunk).capacity)
    return max(0.0, 1.0 - behind / alone)


def input_costs(
    price: ChipPrice | ChipPower | None, share: float, rate: float | None, hit: float, cached: float | None
) -> tuple[float | None, float | None]:
    """(fresh, cached) cost of a million input tokens each [USD]; weighted by their numbers they are the mean cost.

    share: of all accelerators' time that is prefill; rate: input tokens/s per accelerator; cached: `cached_share`.
    """
    if rate is None:
        return None, None
    if cached is None:
        return per_million(price, share, rate), None
    return per_million(price, share * (1 - cached), rate * (1 - hit)), per_million(price, share * cached, rate * hit)


@dataclass(frozen=True)
class DayMargin:
    """A day of service at a list of prices [USD]: every token billed, nothing given away, nobody else paid.

    margin: share of the revenue that the accelerators do not cost; profit_over_cost: the same over the cost. cost,
    margin and profit_over_cost are None without a price of accelerators.
    """

    revenue_per_day: float
    cost_per_day: float | None
    margin: float | None
    profit_over_cost: float | None
    price_list: str

    def to_json(self) -> dict[str, Plain]:
        """The fields."""
        return dict(self.__dict__)


def revenue(listed: PriceList, cached: float, fresh: float, output: float) -> float:
    """What so many tokens bring [USD]."""
    return listed.cached * cached + listed.fresh * fresh + listed.output * output


def margin(listed: PriceList, revenue_per_day: float, cost_per_day: float | None) -> DayMargin:
    """Revenue against cost."""
    if cost_per_day is None:
        return DayMargin(revenue_per_day, None, None, None, listed.basis)
    profit = revenue_per_day - cost_per_day
    share = profit / revenue_per_day if revenue_per_day > 0 else None
    return DayMargin(
        revenue_per_day, cost_per_day, share, profit / cost_per_day if cost_per_day > 0 else None, listed.basis
    )


def day(
    listed: PriceList | None, price: ChipPrice | None, accelerators: float, requests: float | None, traffic: Traffic
) -> DayMargin | None:
    """A whole day at `requests`/s on so many accelerators; None without a list, or for one pool alone."""
    if listed is None or requests is None:
        return None
    isl, hit, many = float(traffic.isl), float(traffic.hit), requests * DAY
    earned = revenue(listed, isl * hit * many, isl * (1 - hit) * many, float(traffic.osl) * many)
    return margin(listed, earned, None if price is None else price.value * accelerators * DAY)


def price_list(
    name: str,
    catalog: Catalog,
    as_of: datetime.date | None = None,
    exchange: float | None = None,
) -> PriceList:
    """The catalogue's list of prices of a model behind an API: the latest known on `as_of`, or on DATE of `NAME@DATE`.

    name: a model (`deepseek-r1`), or the id of a list (`api-deepseek-r1-2025-01-20`). Lists in CNY alone are taken at
    `exchange` CNY/USD, the catalogue's rate where None; of prices by the hour the lower are. Raises InputError when no
    whole list is known, with the nearest name.
    """
    asked, _, text = name.partition("@")
    day = _date(text) if text else as_of
    key = _plain(asked)
    known = [record for record in catalog.api_prices(None, day) if _parts(record)]
    found = [record for record in known if key in _names(record)]
    if not found:
        every = {each for record in known for each in (record.id, *(about.lower() for about in record.about))}
        message = f'no whole list of prices of "{asked[:60]}"' + (f" on {day}" if day else "")
        raise InputError(Problem(message, path="price_list", suggestion=nearest(asked[:60].lower(), every)))
    best = max(found, key=lambda record: (record.date or datetime.date.min, record[_parts(record)[0]].unit == USD))
    hit, miss, output = (best[part] for part in _parts(best))
    basis, ids = f"{best.about[0]}, from {best.date}, {best.first.source}", (hit.id, miss.id, output.id)
    basis += ", off-peak hours" if hit.attribute.endswith("offpeak") else ""
    if hit.unit == USD:
        return PriceList(hit.number, miss.number, output.number, basis, ids)
    rate, fact = _exchange(catalog, day, exchange)
    basis += f", CNY at {rate:g} to the USD"
    return PriceList(hit.number / rate, miss.number / rate, output.number / rate, basis, (*ids, *fact))


def _parts(record: Record) -> tuple[str, ...]:
    """Attributes of a whole list: in USD, else in CNY; off-peak hours after all hours; none where one is missing."""
    for suffix in ("", ".offpeak", ".cny", ".cny.offpeak"):
        named = tuple(part + suffix for part in _LISTED)
        if all(part in record for part in named):
            return named
    return ()


def _exchange(catalog: Catalog, day: datetime.date | None, given: float | None) -> tuple[float, tuple[str, ...]]:
    """(CNY of one USD, id of its fact)."""
    if given is not None:
        return given, ()
    fact = catalog.facts_of("cny", day).get("exchange")
    if fact is None:
        raise MissingFact("cny", "exchange", hint="give the exchange rate, CNY of one USD")
    return fact.number, (fact.id,)


def _date(text: str) -> datetime.date:
    from tonnage.units import parse_date

    try:
        return parse_date(text)
    except ValueError as error:
        raise InputError(Problem(str(error), path="price_list")) from None


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower().rpartition("/")[2] if letter.isalnum())


def _names(record: Record) -> set[str]:
    return {_plain(each) for each in (record.id, record.id.removeprefix("api-"), *record.about)}
