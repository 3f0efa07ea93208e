"""Which chips may be brought to a place on a day, what each does for a model, and the best design within the limits."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tonnage.ask.reading import WordReader
from tonnage.catalog import Catalog
from tonnage.errors import FEASIBLE, Bind, InputError, MissingFact, Outcome, infeasible
from tonnage.law import (
    ChipTraits,
    RuleBook,
    Shares,
    designed,
    lawful,
    lawful_designs,
    licence_refused,
    licensed_designs,
    limits_above,
    limits_met,
    rule_book,
    tpp,
    traits,
)
from tonnage.model import Architecture, load
from tonnage.serve import ServeJob
from tonnage.serve import plan as serve_plan
from tonnage.system import Accelerator, System, accelerator
from tonnage.train import TrainJob
from tonnage.train import plan as train_plan
from tonnage.train.job import untrained

Date = datetime.date


@dataclass(frozen=True)
class LawfulWords:
    """A question as people write it. The command line says what each field is."""

    place: str
    day: str | None = None
    headquarters: str | None = None
    origin: str | None = None
    count: str = "512"
    seq: str = "4096"
    global_batch: str = "1024"
    precision: str = "bf16"
    isl: str = "4k"
    osl: str = "1k"
    ttft: str | None = None
    tpot: str | None = "50ms"


@dataclass(frozen=True)
class LawfulAsked:
    """The same as values.

    day: on which chips would come; origin: the chip that a design starts from, as it was written; count: accelerators
    that train, and that serve.
    """

    place: str
    day: Date | None
    headquarters: str | None
    origin: str | None
    count: int
    seq: int
    global_batch: int
    precision: str
    isl: float
    osl: float
    ttft: float | None
    tpot: float | None

    def train(self, arch: Architecture, date: Date | None) -> TrainJob:
        """The training run; date: of its software."""
        return TrainJob(arch, self.seq, self.global_batch, precision=self.precision, date=date)

    def serve(self, arch: Architecture, date: Date | None) -> ServeJob:
        """The service; date: of its software."""
        return ServeJob(arch, self.isl, self.osl, self.ttft, self.tpot, date=date)


@dataclass(frozen=True)
class ChipRate:
    """What one accelerator does. value: [token/s] of training or [requests/s], None where it cannot; layout: in words;
    reason: why it cannot, empty if it can; evidence: see `Evidence`.
    """

    value: float | None
    layout: str = ""
    reason: str = ""
    evidence: str = "analytic"


@dataclass(frozen=True)
class LawfulChip:
    """A lawful chip. status: of the law's classification; training, serving: what it does."""

    chip: str
    title: str
    status: str
    training: ChipRate
    serving: ChipRate
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class LawfulDesign:
    """A design within the limits.

    shares: of the chip that it starts from; tpp: of the design [TOPS x bit]; accelerator: the design, to be planned
    with; above: rules that catch it with a little more of `rate`, `bandwidth` or `link`, by which.
    """

    shares: Shares
    status: str
    tpp: float | None
    accelerator: Accelerator
    above: dict[str, tuple[str, ...]]
    training: ChipRate
    serving: ChipRate


@dataclass(frozen=True)
class DesignSpace:
    """Designs from one chip. whole: what the chip itself does; met: ids of the rules that keep it away as it is.

    licensed: shares with which a licence would be decided case by case; refused: why the whole chip would not be.
    """

    whole: LawfulChip
    accelerator: Accelerator
    met: tuple[str, ...]
    designs: tuple[LawfulDesign, ...]
    licensed: tuple[Shares, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class LawfulFound:
    """The answer.

    chips: best at training first, then at serving; left_out: lawful, but a fact is missing, and which; forbidden: how
    many are not lawful.
    """

    day: Date
    place: str
    headquarters: str
    model: str
    asked: LawfulAsked
    chips: tuple[LawfulChip, ...]
    left_out: tuple[tuple[str, str], ...]
    forbidden: int
    space: DesignSpace | None

    @property
    def outcome(self) -> Outcome:
        """Whether any lawful chip of the catalogue trains or serves the model."""
        able = best(self.chips, "training") or best(self.chips, "serving")
        text = f"no chip that may come to {self.place} without a licence on {self.day} carries {self.model}"
        return FEASIBLE if able else infeasible(Bind("law", text))

    @property
    def evidence(self) -> str:
        """The weakest evidence of what is shown."""
        tiers = ("interpolated", "extrapolated", "analytic")
        rates = [rate for chip in self.chips for rate in (chip.training, chip.serving) if rate.value]
        return max((rate.evidence for rate in rates), key=tiers.index, default="analytic")


def read(words: LawfulWords) -> LawfulAsked:
    """Words as values. Raises `InputError` with every problem."""
    reader = WordReader()
    headquarters = reader.country(words.headquarters, "headquarters")
    asked = LawfulAsked(
        place=reader.country(words.place, "place") or "",
        day=reader.date(words.day, "day"),
        headquarters=headquarters,
        origin=words.origin,
        count=reader.whole(words.count, "count"),
        seq=reader.whole(words.seq, "seq"),
        global_batch=reader.whole(words.global_batch, "global_batch"),
        precision=words.precision,
        isl=reader.number(words.isl, "tokens", "isl"),
        osl=reader.number(words.osl, "tokens", "osl"),
        ttft=reader.optional(words.ttft, "time", "ttft"),
        tpot=None if words.tpot == "none" else reader.optional(words.tpot, "time", "tpot"),
    )
    if asked.count > 100_000:
        reader.wrong(f"expected at most 100,000 accelerators, got {asked.count:,}", "count")
    reader.done()
    return asked


def found(model: str, asked: LawfulAsked, catalog: Catalog, as_of: Date | None = None) -> LawfulFound:
    """What is lawful at the place on the day (`as_of`, else today, if not given), and what it does for a model.

    as_of: the day of knowledge of facts, models and rules, all that is known if not given.
    """
    day = asked.day or as_of or datetime.date.today()
    law = rule_book().as_known(as_of)
    arch = load(model, catalog, as_of)
    train, serve = asked.train(arch, as_of), asked.serve(arch, as_of)
    built_from = _origin(asked.origin, catalog, as_of) if asked.origin else None
    listed, left_out, forbidden = [], [], 0
    for chip in catalog.chips(day):
        verdict = lawful(traits(chip, catalog, as_of), day, asked.place, asked.headquarters, book=law)
        if not verdict.planned:
            forbidden += 1
            continue
        try:
            built = accelerator(chip, catalog, as_of)
        except MissingFact as error:
            left_out.append((chip, error.message))
            continue
        listed.append(_chip(built, verdict.status, asked.count, train, serve))
    listed.sort(key=lambda one: (-(one.training.value or 0.0), -(one.serving.value or 0.0), one.chip))
    space = None
    if built_from is not None:
        landing = _Landing(asked.place, asked.headquarters, day, law)
        space = _space(built_from, traits(built_from.name, catalog, as_of), landing, asked.count, train, serve)
    home = asked.headquarters or asked.place
    return LawfulFound(day, asked.place, home, model, asked, tuple(listed), tuple(left_out), forbidden, space)


def best(chips: Iterable[LawfulChip], use: str) -> LawfulChip | None:
    """The chip that does most per accelerator; use: `training` or `serving`. None where none can."""
    able = [chip for chip in chips if getattr(chip, use).value]
    return max(able, key=lambda chip: float(getattr(chip, use).value), default=None)


def best_design(designs: Sequence[LawfulDesign], use: str) -> LawfulDesign | None:
    """The design that does most per accelerator, None where none can."""
    able = [design for design in designs if getattr(design, use).value]
    return max(able, key=lambda design: float(getattr(design, use).value), default=None)


def _chip(built: Accelerator, status: str, count: int, train: TrainJob, serve: ServeJob) -> LawfulChip:
    system = System(built, count)
    return LawfulChip(built.name, built.title, status, _trains(train, system), _serves(serve, system), built.facts)


def _trains(job: TrainJob, system: System) -> ChipRate:
    try:
        if why := untrained(job, (system.accelerator,)):
            return ChipRate(None, reason=why)
        plan = train_plan(job, system)
    except MissingFact as error:
        return ChipRate(None, reason=error.message)
    if plan.run is None or not plan.outcome.feasible:
        return ChipRate(None, reason=_why(plan.outcome))
    return ChipRate(plan.run.tokens_per_second, str(plan.layout), evidence=plan.evidence)


def _serves(job: ServeJob, system: System) -> ChipRate:
    try:
        plan = serve_plan(job, system)
    except MissingFact as error:
        return ChipRate(None, reason=error.message)
    if not plan.outcome.feasible or not plan.requests_per_second:
        return ChipRate(None, reason=_why(plan.outcome))
    ahead = f" + prefill {plan.prefill_layout_text}" if plan.prefill_layout_text else ""
    rate = plan.requests_per_second / plan.accelerators
    return ChipRate(rate, f"{plan.layout_text}{ahead}", evidence=plan.evidence)


def _why(outcome: Outcome) -> str:
    return outcome.binds[0].text if outcome.binds else outcome.reason


@dataclass(frozen=True)
class _Landing:
    """Where chips come, on what day, for whom, under which rules."""

    place: str
    headquarters: str | None
    day: Date
    book: RuleBook

    def status(self, chip: ChipTraits) -> str:
        """Status of the law's classification."""
        return lawful(chip, self.day, self.place, self.headquarters, book=self.book).status


def _space(
    built: Accelerator, chip: ChipTraits, landing: _Landing, count: int, train: TrainJob, serve: ServeJob
) -> DesignSpace:
    """The designs from a chip, which needs not be lawful itself."""
    whole = _chip(built, landing.status(chip), count, train, serve)
    where = (landing.day, landing.place, landing.headquarters)
    made = []
    for shares in lawful_designs(chip, *where, book=landing.book):
        new, own = designed(chip, shares), scaled(built, shares)
        system = System(own, count)
        above = limits_above(chip, shares, *where, book=landing.book)
        rates = _trains(train, system), _serves(serve, system)
        made.append(LawfulDesign(shares, landing.status(new), tpp(new), own, above, *rates))
    met = limits_met(chip, *where, book=landing.book)
    licensed = licensed_designs(chip, *where, book=landing.book)
    refused = () if licensed else licence_refused(chip, *where, book=landing.book)
    return DesignSpace(whole, built, met, tuple(made), licensed, refused)


def _origin(name: str, catalog: Catalog, as_of: Date | None) -> Accelerator:
    """The chip that a design starts from. Raises `InputError` with the field's name."""
    try:
        return accelerator(name, catalog, as_of)
    except InputError as error:
        error.problems = tuple(replace(problem, path="origin") for problem in error.problems)
        raise


def scaled(chip: Accelerator, shares: Shares) -> Accelerator:
    """A chip with shares of its dense rates, memory bandwidth and link; memory, NIC, domain and power as they are.

    What was measured on the chip is not carried over. Intervals of a figure shrink with it.
    """
    by_field = {"bandwidth": shares.bandwidth, "link": shares.link}

    def bounds(ends: dict[str, float]) -> dict[str, float]:
        return {k: v * (shares.rate if k.startswith("rates.") else by_field.get(k, 1.0)) for k, v in ends.items()}

    return replace(
        chip,
        name=f"{chip.name}-design",
        title=f"a design from {chip.title}",
        rates={name: rate * shares.rate for name, rate in chip.rates.items()},
        bandwidth=chip.bandwidth * shares.bandwidth,
        link=None if chip.link is None else chip.link * shares.link,
        low=bounds(chip.low),
        high=bounds(chip.high),
        measured=None,
    )
