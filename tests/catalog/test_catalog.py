"""What the catalogue claims: its counts, its sources, its units, and what was known when."""

from __future__ import annotations

import dataclasses
import datetime
import subprocess
import sys
import time

import pytest

from tonnage.catalog import KINDS, Catalog, Fact, Source, load
from tonnage.catalog.facts import UNITS, convert
from tonnage.catalog.loading import DATA, RULES, _bundled, _contents
from tonnage.catalog.prices import MATCHES
from tonnage.catalog.tables import COLUMNS, TableReader
from tonnage.errors import AmbiguousName, InputError, MissingFact
from tonnage.files import digest
from tonnage.units import HOUR

D = datetime.date
TRUTH_KEYS = """
a100-sxm-40gb a100-sxm-80gb a100-pcie-80gb h100-sxm h100-pcie h100-nvl h100-sxm-hbm2e-500w h800-sxm h20-96gb
h20-141gb h200-sxm h200-nvl gh200 b200-sxm b300-sxm gb200 gb300 l4 l40s rtx-4090 rtx-pro-6000 dgx-spark mi250x
mi300x mi325x mi350x mi355x ascend-910a ascend-910b ascend-910c tpu-v4 tpu-v5e tpu-v5p tpu-v6e tpu-v7 gaudi2
arc-b60
""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


def test_everything_that_was_collected_is_there(catalog: Catalog) -> None:
    least = {
        "chips": 1300,
        "servers": 150,
        "prices": 500,
        "power_prices": 5,
        "supply": 50,
        "fleets": 8,
        "demand": 15,
        "training_runs": 1400,
        "launches": 500,
        "model_releases": 26,
        "api_prices": 50,
        "market": 6,
        "events": 42,
        "cutoffs": 27,
    }
    assert {table: len(facts) >= least[table] for table, facts in catalog.tables.items()} == dict.fromkeys(least, True)
    assert len(catalog.chips()) >= 79
    assert set(TRUTH_KEYS) <= set(catalog.chips())


def test_every_fact_has_a_source_that_exists_and_a_kind(catalog: Catalog) -> None:
    facts = [fact for table in catalog.tables.values() for fact in table]
    assert len(facts) > 1900
    assert [fact.id for fact in facts if not fact.source or fact.source not in catalog.source_list] == []
    assert [fact.id for fact in facts if fact.kind not in KINDS] == []
    assert [source.key for source in catalog.sources() if not source.title] == []
    assert len({fact.id for fact in facts}) == len(facts) == len(catalog.facts)


def test_what_was_recalled_says_so_and_what_was_read_says_when(catalog: Catalog) -> None:
    recalled = [fact for fact in catalog.facts if fact.recalled]
    assert len(recalled) > 200
    assert all("recalled, not re-read" in fact.note and fact.retrieved is None for fact in recalled)
    assert all(fact.retrieved is not None for fact in catalog.facts if not fact.recalled)


@pytest.mark.parametrize("source", ["", "no-such-source"])
def test_a_fact_without_a_source_does_not_load(source: str) -> None:
    reader = TableReader({"paper": Source("paper", "A paper")})
    row = f"h20-96gb,memory,96,GB,,,{source},,,,datasheet,"
    assert reader.read_facts(",".join(COLUMNS) + "\n" + row + "\n", "mine.csv") == ()
    with pytest.raises(InputError, match=r"mine.csv:2:7 .*source"):
        reader.raise_problems()


def test_a_fact_without_a_source_cannot_be_made(catalog: Catalog) -> None:
    fact = catalog.fact("h20-96gb", "memory")
    with pytest.raises(ValueError, match="needs a source"):
        dataclasses.replace(fact, source="")
    with pytest.raises(ValueError, match="needs a source"):
        Fact("x/memory", "x", "memory", 1.0, "byte", source="", kind="datasheet")
    with pytest.raises(ValueError, match="kind of fact"):
        dataclasses.replace(fact, kind="rumour")
    with pytest.raises(ValueError, match="interval"):
        dataclasses.replace(fact, low=2 * fact.number)


def test_h20_in_base_units(catalog: Catalog) -> None:
    facts = catalog.facts_of("h20-96gb")
    values = {name: facts[name].number for name in ("rates.bf16", "rates.fp8", "memory", "bandwidth", "link", "nic")}
    assert values == pytest.approx(
        {"rates.bf16": 148e12, "rates.fp8": 296e12, "memory": 96e9, "bandwidth": 4.0e12, "link": 450e9, "nic": 50e9}
    )
    assert (facts["nic"].low, facts["nic"].high) == pytest.approx((25e9, 50e9))
    assert facts["domain"].number == 8
    assert facts["power"].number == 400
    assert facts["die_area"].number == 814
    assert facts["released"].day == D(2023, 11, 9)
    assert facts["china_oriented"].flag
    assert facts["datacentre"].flag
    assert facts["memory"].text == "96 GB"


@pytest.mark.parametrize(
    ("chip", "attribute", "value"),
    [
        ("h800-sxm", "link", 200e9),
        ("h800-sxm", "rates.fp8", 1979e12),
        ("v100-sxm2-32gb", "link", 150e9),  # printed 300 GB/s both ways
        ("trainium2", "link", 640e9),  # printed 1280 GB/s both ways
        ("gb200", "domain", 72),
        ("gb200", "nic", 100e9),
        ("ascend-910c", "dies", 2),
        ("ascend-910c", "domain", 384),
        ("tpu-v4", "memory", 34.4e9),
        ("h100-sxm-hbm2e-500w", "bandwidth", 2.4e12),
        ("h100-sxm-hbm2e-500w", "power", 500),
        ("dgx-spark", "bandwidth", 273e9),
        ("arc-b60", "rates.int8", 196.61e12),
        ("h100-sxm", "all_in_power", 1730),
        ("b300-sxm", "rates.int8", 153.5e12),
    ],
)
def test_hand_checked_values(catalog: Catalog, chip: str, attribute: str, value: float) -> None:
    assert catalog.fact(chip, attribute).number == pytest.approx(value)


def test_the_910b_is_an_interval_over_its_bins(catalog: Catalog) -> None:
    peak = catalog.fact("ascend-910b", "rates.bf16")
    assert (peak.low, peak.number, peak.high) == pytest.approx((280e12, 313e12, 400e12))
    bins = [catalog.fact(f"ascend-910b{n}", "rates.bf16").number for n in (1, 2, 3, 4)]
    assert (min(bins), max(bins)) == pytest.approx((peak.low, peak.high))


def test_no_rate_is_out_of_this_world(catalog: Catalog) -> None:
    # the widest are a wafer (WSE-3: 21 PB/s of SRAM, 23 kW) and a card of 25 W (MTIA v1)
    spans = {"FLOP/s": (1e11, 1e17), "byte": (2e8, 1e12), "byte/s": (1e9, 3e16), "W": (20, 3e4)}
    odd = [
        fact.id
        for fact in catalog.tables["chips"]
        if fact.unit in spans and not spans[fact.unit][0] <= fact.number <= spans[fact.unit][1]
    ]
    assert odd == []


PINT = {
    "TFLOP/s": "teraFLOP/s",
    "TOP/s": "teraFLOP/s",
    "PFLOP/s": "petaFLOP/s",
    "GB/s both ways": "0.5 * GB/s",
    "accelerator-h": "hour",
    "accelerator-s": "s",
    "h": "hour",
    "USD/h": "USD/hour",
    "CNY/h": "CNY/hour",
    "USD/accelerator-s": "USD/s",
    "CNY/accelerator-s": "CNY/s",
    "USD/Mtoken": "1e-6 * USD/token",
    "CNY/Mtoken": "1e-6 * CNY/token",
    "share": "1",
    "count": "1",
    "%": "0.01",
    "mm2": "mm ** 2",
    "": "1",
}


def test_printed_units_agree_with_pint() -> None:
    import pint

    registry = pint.UnitRegistry()
    for name in ("USD = [money]", "CNY = [yuan]", "token = [text]", "FLOP = [work]"):
        registry.define(name)
    for unit, (factor, base) in UNITS.items():
        one, target = (registry.Quantity(registry.parse_expression(PINT.get(u, u))) for u in (unit, base))
        assert factor == pytest.approx((one / target).to("dimensionless").magnitude, rel=1e-12), unit


def test_words_dates_and_flags() -> None:
    assert convert("2025-Q3", "date") == (D(2025, 7, 1), "date")
    assert convert("yes", "flag") == (True, "flag")
    assert convert("HBM3", "text") == ("HBM3", "text")
    for text, unit in (("maybe", "flag"), ("nan", "GB"), ("1e999", "GB"), ("96", "GBps"), ("ninety", "GB")):
        with pytest.raises(ValueError, match=r"neither|not a number|no unit"):
            convert(text, unit)


def test_a_chip_is_not_known_before_its_release(catalog: Catalog) -> None:
    assert "h20-96gb" in catalog.chips(D(2025, 2, 28))
    assert "h20-96gb" not in catalog.chips(D(2023, 11, 8))
    assert "b300-sxm" not in catalog.chips(D(2025, 8, 21))
    assert catalog.facts_of("ascend-950pr", D(2025, 12, 31)) == {}
    with pytest.raises(MissingFact, match="memory") as error:
        catalog.fact("gb300", "memory", D(2025, 4, 16))
    assert "not yet released on 2025-04-16" in str(error.value.hint)


def test_later_knowledge_is_hidden(catalog: Catalog) -> None:
    day = D(2025, 2, 28)
    for fact in catalog.facts:
        if fact.since and fact.since > day:
            assert fact not in catalog.facts_of(fact.entity, day).values()
    known = {record.id for record in catalog.records("fleets", day)}
    assert {"deepseek-h800", "deepseek-h100", "deepseek-a100"} <= known
    assert "deepseek-h20" not in known  # published in June 2025
    assert "note" not in catalog.facts_of("h20-96gb", day)  # it speaks of April 2025


def test_events_by_what_could_be_known(catalog: Catalog) -> None:
    early = {record.id for record in catalog.events(D(2025, 2, 28))}
    late = {record.id for record in catalog.events(D(2025, 8, 14))}
    assert "2025-04-09-h20-licence" not in early
    assert "2025-08-14-r2-ascend-failed" not in {record.id for record in catalog.events(D(2025, 8, 13))}
    assert {"2025-04-09-h20-licence", "2025-08-14-r2-ascend-failed", "2025-01-20-r2-encouraged-on-ascend"} <= late
    days = [record.date for record in catalog.events()]
    assert days == sorted(day for day in days if day)
    assert {record.first.mark for record in catalog.events()} == {"firm", "disputed", "recalled"}
    assert all("h20-96gb" in record.about for record in catalog.events(about="h20-96gb"))


def test_prices_best_match_first_and_never_nothing(catalog: Catalog) -> None:
    found = catalog.price("h800-sxm", "CN", D(2025, 3, 31))
    assert found[0].value * HOUR == pytest.approx(2.0)
    assert (found[0].match, found[0].age) == ("here", 58)
    assert all(price.date is None or price.date <= D(2025, 3, 31) for price in found)
    assert all(price.value > 0 for chip in catalog.chips() for price in catalog.price(chip))
    assert catalog.price("ascend-910c", "CN") == ()


def test_tenure_and_place_decide_before_age(catalog: Catalog) -> None:
    day = D(2026, 4, 1)
    assert catalog.price("h100-sxm", "US", day, "3-year")[0].value * HOUR == pytest.approx(1.3)
    assert catalog.price("h100-sxm", "US", day, "1-year")[0].value * HOUR == pytest.approx(2.35)
    assert catalog.price("h100-sxm", "CN", day)[0].place == ("CN",)
    matches = [price.match for price in catalog.price("h100-sxm", "CN", day)]
    assert matches == sorted(matches, key=MATCHES.index)


def test_six_dollars_an_hour_is_eight_a100(catalog: Catalog) -> None:
    prices = [price for price in catalog.price("a100-sxm-80gb", "CN", D(2024, 12, 31)) if price.date == D(2024, 9, 1)]
    assert min(price.value for price in prices) * HOUR == pytest.approx(0.75)


def test_a_coarse_date_is_known_when_its_period_is_over(catalog: Catalog) -> None:
    rent = next(price for price in catalog.price("h20-96gb", "CN") if price.tenure == "monthly")
    assert catalog.by_id(rent.fact).since == D(2025, 12, 31)
    assert rent.recalled
    assert catalog.price("h20-96gb", "CN", D(2025, 4, 16)) == ()


def test_records_hold_together(catalog: Catalog) -> None:
    day = {record.id: record for record in catalog.demand()}["deepseek-day-2025-02-28"]
    assert day["input_tokens"].number == 608e9
    assert day["output_tokens"].number == 168e9
    assert day["avg_nodes"].number * day["chips_per_node"].number == pytest.approx(1814)
    run = {record.id: record for record in catalog.training_runs("h800-sxm")}["deepseek-v3-pretraining"]
    hours = run["accelerator_time"].number / HOUR
    assert hours * 2.0 == pytest.approx(run["cost"].number)
    with pytest.raises(MissingFact):
        _ = run["colour"]


def test_a_server_says_which_chip_and_how_many(catalog: Catalog) -> None:
    servers = {record.id: record for record in catalog.servers()}
    assert servers["cloudmatrix-384"]["chips"].number == 384
    assert servers["gb200-nvl72"]["domain"].number == 72
    assert servers["atlas-800-a2"]["chip"].value == "ascend-910b"
    chips = set(catalog.chips())
    assert {record["chip"].value for record in servers.values()} <= chips


def test_what_is_missing_is_said(catalog: Catalog) -> None:
    with pytest.raises(MissingFact) as error:
        catalog.fact("dcu-z100", "link")
    assert error.value.exit_code == 3
    assert "source" in str(error.value.hint)
    with pytest.raises(MissingFact) as typo:
        catalog.fact("h20-96bg", "memory")
    assert "h20-96gb" in str(typo.value.hint)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("h20", "h20-96gb"),
        ("H800", "h800-sxm"),
        ("h200", "h200-sxm"),
        ("b200", "b200-sxm"),
        ("910C", "ascend-910c"),
        ("NVIDIA H100 SXM", "h100-sxm"),
        ("nvidia_gb200", "gb200"),
        ("mi355", "mi355x"),
        ("rtx 4090", "rtx-4090"),
        ("DGX Spark", "dgx-spark"),
        *((key, key) for key in TRUTH_KEYS),
    ],
)
def test_names_that_everyone_reads_one_way(catalog: Catalog, name: str, key: str) -> None:
    assert catalog.chip(name) == key


@pytest.mark.parametrize("name", ["rtx", "910", "mtia", "maia", "tpu", "gaudi"])
def test_names_with_no_single_reading_ask_which(catalog: Catalog, name: str) -> None:
    with pytest.raises(AmbiguousName) as error:
        catalog.chip(name)
    assert len(error.value.choices) > 1
    assert error.value.exit_code == 2


@pytest.mark.parametrize(("name", "near"), [("h2o", "h20"), ("h20-96bg", "h20-96gb"), ("ascend-910d", "ascend-910")])
def test_unknown_names_get_the_nearest(catalog: Catalog, name: str, near: str) -> None:
    with pytest.raises(InputError) as error:
        catalog.chip(name)
    assert str(error.value.problems[0].suggestion).startswith(near)


@pytest.mark.parametrize("name", ["", " ", "-", "x" * 10_000, "h20\0", "../../etc/passwd", "%s"])
def test_strange_names_are_only_wrong(catalog: Catalog, name: str) -> None:
    with pytest.raises(InputError):
        catalog.chip(name)


def test_bundled_models_by_any_name(catalog: Catalog) -> None:
    assert len(catalog.models()) > 60
    for name in ("deepseek-r1", "deepseek-ai/DeepSeek-R1", "DEEPSEEK-AI/deepseek-r1"):
        identifier, config, source = catalog.model_config(name)
        assert identifier == "deepseek-ai/DeepSeek-R1"
        assert config["n_routed_experts"] == 256
        assert source
    with pytest.raises(InputError) as error:
        catalog.model_config("deepseek-r3")
    assert "deepseek" in str(error.value.problems[0].suggestion)


def test_the_digest_is_of_the_content(catalog: Catalog) -> None:
    assert catalog.digest == digest(_contents())
    assert len(catalog.digest) == 64
    assert digest([*_contents(), b"one more"]) != catalog.digest


def test_the_digest_is_of_the_tables_and_of_the_rules() -> None:
    parts = list(_contents())
    for name in ("chips.csv", "models.jsonl", "rules.toml", "places.toml"):
        assert name.encode() in parts
    assert (RULES / "rules.toml").read_bytes() in parts
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"])


def test_the_digest_is_the_same_in_another_process(catalog: Catalog) -> None:
    code = "from tonnage.catalog import load; print(load().digest)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == catalog.digest


def test_loading_is_quick_and_done_once() -> None:
    _bundled.cache_clear()
    start = time.process_time()
    first = load()
    assert time.process_time() - start < 0.25
    assert load() is first


def test_no_data_file_is_forgotten() -> None:
    from tonnage.catalog.catalog import TABLES

    assert {path.stem for path in DATA.glob("*.csv")} == {*TABLES, "sources"}


def test_the_page_of_sources_is_up_to_date() -> None:
    root = DATA.parents[3]
    done = subprocess.run([sys.executable, root / "scripts" / "sources.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
