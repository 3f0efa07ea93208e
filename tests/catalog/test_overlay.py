"""A user's own facts: they come first, and a bad file is a list of what is wrong, never a traceback."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage import catalog
from tonnage.catalog import load
from tonnage.catalog.tables import COLUMNS, TableReader
from tonnage.errors import InputError
from tonnage.units import HOUR

HEADER = ",".join(COLUMNS)
SOURCES = "key,title,url,via,licence,known\nquote,Quotation of our supplier,,,,\n"
CHIP = """chip: Foo 1
title: Foo-1, as quoted
vendor: Foo
source: Quotation of our supplier, 2026-03
released: 2026-03
rates: {bf16: 280 to 320 TFLOP/s, fp8: 600 TFLOP/s}
memory: 64 GB
bandwidth: 1.6 TB/s
link: 200 GB/s
domain: 8
nic: 200 Gbit/s
power: 0.4 kW
die_area: 600 mm2
datacentre: true
price: $0.80/h to $1.20/h
place: CN
"""


def folder(path: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (path / name.replace("_", ".", 1)).write_text(text, encoding="utf-8")
    return path


def test_own_rows_come_before_ours(tmp_path: Path) -> None:
    rows = f"{HEADER}\nh20-96gb,memory,95,GB,,,quote,p. 2,2026-01-05,,measured,usable\n"
    rent = "h20-96gb,price.rental,0.9,USD/h,0.8,1.0,quote,,2026-01-05,2025-03-01,press,,CN,monthly"
    price = f"{HEADER},place,tenure\n{rent}\n"
    mine = load(folder(tmp_path, sources_csv=SOURCES, chips_csv=rows, prices_csv=price))
    assert mine.fact("h20-96gb", "memory").number == 95e9
    assert mine.fact("h20-96gb", "memory").id == "own:h20-96gb/memory"
    assert mine.fact("h20-96gb", "bandwidth").number == 4e12
    best = mine.price("h20-96gb", "CN", datetime.date(2025, 4, 16))[0]
    assert (best.own, best.value * HOUR) == (True, pytest.approx(0.9))
    assert mine.digest != load().digest
    assert load().fact("h20-96gb", "memory").number == 96e9


def test_an_overlay_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    rows = f"{HEADER}\nh20-96gb,memory,95,GB,,,quote,,,,measured,\n"
    path = folder(tmp_path, sources_csv=SOURCES, chips_csv=rows)
    first = load(path)
    assert load(path) is first
    folder(path, chips_csv=rows.replace("95", "94"))
    assert load(path).fact("h20-96gb", "memory").number == 94e9


def test_a_chip_described_in_yaml(tmp_path: Path) -> None:
    mine = load(folder(tmp_path, foo_yaml=CHIP))
    key = mine.chip("foo-1")
    facts = mine.facts_of(key)
    assert facts["rates.bf16"].number == pytest.approx(300e12)
    assert (facts["rates.bf16"].low, facts["rates.bf16"].high) == pytest.approx((280e12, 320e12))
    assert facts["nic"].number == pytest.approx(25e9)
    assert facts["power"].number == 400
    assert facts["released"].day == datetime.date(2026, 3, 1)
    assert mine.source(facts["memory"].source).title == "Quotation of our supplier, 2026-03"
    price = mine.price(key, "CN")[0]
    assert (price.low * HOUR, price.high * HOUR) == pytest.approx((0.8, 1.2))
    assert key not in mine.chips(datetime.date(2026, 2, 28))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("source: Quotation of our supplier, 2026-03\n", "", "source"),
        ("memory: 64 GB", "memory: 64", "needs a unit"),
        ("memory: 64 GB", "memory: 64 GB/s", "memory"),
        ("memory: 64 GB", "memry: 64 GB", "no such key"),
        ("bf16:", "bf61:", "no such precision"),
        ("domain: 8", "domain: -8", "more than nothing"),
        ("domain: 8", "domain: 8.5", "whole number"),
        ("memory: 64 GB", "memory: 1e30 GB", "is not between"),
        ("released: 2026-03", "released: soon", "not a date"),
        ("datacentre: true", "datacentre: perhaps", "true or false"),
        ("rates: {bf16: 280 to 320 TFLOP/s, fp8: 600 TFLOP/s}", "rates: fast", "expected precisions"),
        ("power: 0.4 kW", "power: .inf", "power"),
        ("vendor: Foo", "kind: rumour", "is not one of"),
    ],
)
def test_mistakes_in_yaml_are_placed(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in CHIP
    with pytest.raises(InputError) as error:
        load(folder(tmp_path, foo_yaml=CHIP.replace(old, new)))
    assert expected in str(error.value)
    assert "foo.yaml:" in str(error.value)


def test_all_mistakes_are_shown_at_once(tmp_path: Path) -> None:
    rows = [
        "h20-96gb,memory,95,GBs,,,quote,,,,measured,",
        "h20-96gb,memory,many,GB,,,quote,,,,measured,",
        "h20-96gb,memory,95,GB,96,,quote,,,,measured,",
        "h20-96gb,memory,95,GB,,,qoute,,,,measured,",
        "h20-96gb,memory,95,GB,,,quote,,soon,,measured,",
        "h20-96gb,memory,95,GB,,,quote,,,,hearsay,",
        "h20-96gb,memory,95,GB",
        ",memory,95,GB,,,quote,,,,measured,",
    ]
    with pytest.raises(InputError) as error:
        load(folder(tmp_path, sources_csv=SOURCES, chips_csv="\n".join([HEADER, *rows])))
    places = [problem.where.rsplit("chips.csv:", 1)[-1] for problem in error.value.problems]
    assert places == ["2:4", "3:4", "4:3", "5:7", "6:9", "7:11", "8:1", "9:1"]
    assert error.value.problems[3].suggestion == "quote"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("bandwidth,0,TB/s,,", "2:3  h20-96gb bandwidth: must be more than nothing"),
        ("bandwidth,-4,TB/s,,", "2:3"),
        ("bandwidth,4,TB/s,0,5", "2:5"),
        ("bandwidth,4,TB/s,3,1e9", "2:6"),
        ("bandwidth,4,GB,,", "2:4"),
        ("nic,0,Gbit/s,,", "2:3"),
        ("link,0,GB/s,,", "2:3"),
        ("domain,0,count,,", "2:3"),
        ("domain,8.5,count,,", "8.5 is not a whole number"),
        ("memory,1e30,GB,,", "2:3"),
        ("rates.bf16,1e300,TFLOP/s,,", "2:3"),
        ("rates.bf16,1e-300,TFLOP/s,,", "2:3"),
        ("power,2000,kW,,", "2:3"),
        ("released,soon,text,,", "2:4"),
        ("memroy,96,GB,,", '2:2  h20-96gb memroy: a chip has no attribute "memroy"   did you mean "memory"?'),
        ("rates.bf61,96,TFLOP/s,,", 'did you mean "rates.bf16"?'),
    ],
)
def test_a_chip_that_cannot_be_is_refused(tmp_path: Path, row: str, expected: str) -> None:
    rows = f"{HEADER}\nh20-96gb,{row},quote,,,,measured,\n"
    with pytest.raises(InputError) as error:
        load(folder(tmp_path, sources_csv=SOURCES, chips_csv=rows))
    assert len(error.value.problems) == 1
    assert f"chips.csv:{expected}" in str(error.value) or (expected[1] != ":" and expected in str(error.value))


def test_a_fact_of_a_chip_is_bounded_in_any_table(tmp_path: Path) -> None:
    rows = f"{HEADER}\nh20-96gb,bandwidth,0,TB/s,,,quote,,,,measured,\n"
    with pytest.raises(InputError, match="more than nothing"):
        load(folder(tmp_path, sources_csv=SOURCES, servers_csv=rows))


def test_a_price_that_cannot_be_is_refused(tmp_path: Path) -> None:
    rents = [f"h20-96gb,price.rental,{value},USD/h,,,quote,,,,press," for value in ("-1", "1e30", "0.9")]
    with pytest.raises(InputError) as error:
        load(folder(tmp_path, sources_csv=SOURCES, prices_csv="\n".join([HEADER, *rents])))
    assert [problem.where.rsplit("csv:", 1)[-1] for problem in error.value.problems] == ["2:3", "3:3"]


def test_a_bad_date_is_shown_beside_the_other_mistake_of_its_row(tmp_path: Path) -> None:
    rows = f"{HEADER}\nh20-96gb,memory,0,GB,,,quote,,soon,later,measured,\nh20-96gb,nic,0,Gbit/s,,,quote,,,x,press,\n"
    with pytest.raises(InputError) as error:
        load(folder(tmp_path, sources_csv=SOURCES, chips_csv=rows))
    places = [problem.where.rsplit("chips.csv:", 1)[-1] for problem in error.value.problems]
    assert places == ["2:3", "2:9", "2:10", "3:3", "3:10"]


def test_our_own_tables_keep_to_the_bounds_of_a_user(tmp_path: Path) -> None:
    data = Path(catalog.__file__).parent / "data"
    for path in data.glob("*.csv"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    assert load(tmp_path).chips() == load().chips()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chips.csv", b"\x00\x01\x02binary\xff"),
        ("chips.csv", b"\xff\xfe\x00"),
        ("chips.csv", b""),
        ("chips.csv", b"colour,taste\nred,sweet\n"),
        ("chips.csv", b'"unclosed'),
        ("chips.csv", (HEADER + "\n" + "x" * 200_000 + "\n").encode()),
        ("chips.csv", (HEADER + "," + HEADER + "\n").encode()),
        ("chip.csv", b"anything"),
        ("evil.py", b"import os"),
        ("foo.yaml", b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nchip: [" + b"*c, " * 300 + b"x]\n"),
        ("foo.yaml", b"!!python/object/apply:os.system ['true']"),
        ("foo.yaml", b"- not\n- a\n- chip\n"),
        ("foo.yaml", b"[" * 10_000),
        ("foo.yaml", b"\x00"),
    ],
)
def test_hostile_files_are_input_errors(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert error.value.exit_code == 2


def test_a_folder_that_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "chips.csv").mkdir()
    for path in (tmp_path, tmp_path / "absent", Path(__file__)):
        with pytest.raises(InputError):
            load(path)


def test_too_many_files(tmp_path: Path) -> None:
    for number in range(101):
        (tmp_path / f"{number}.yaml").write_text("chip: x")
    with pytest.raises(InputError, match="more than 100"):
        load(tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=14), max_size=6))
def test_no_table_breaks_the_reader(rows: list[list[str]]) -> None:
    text = HEADER + "\n" + "\n".join(",".join(row) for row in rows)
    reader = TableReader()
    assert all(fact.source for fact in reader.read_facts(text, "any.csv"))
    assert all(problem.where.startswith("any.csv:") for problem in reader.problems)
