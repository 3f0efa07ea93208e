"""Write docs/sources.md from the catalogue: where every fact comes from, under which licence, how far it was checked.

python scripts/sources.py            write it
python scripts/sources.py --check    fail if it is not up to date
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tonnage.catalog import KINDS, load
from tonnage.catalog.catalog import TABLES
from tonnage.catalog.facts import UNITS, WORDS
from tonnage.catalog.models import entry
from tonnage.catalog.owning import owned
from tonnage.catalog.show import source_rows
from tonnage.catalog.tables import COLUMNS, MORE
from tonnage.law import load_rules
from tonnage.truth.cases import KINDS as KINDS_OF_CASES
from tonnage.truth.cases import load_cases
from tonnage.units import show_price

DOCUMENT = Path(__file__).parent.parent / "docs" / "sources.md"

HEAD = """# Sources

Written by `scripts/sources.py` from the catalogue itself; `tonnage show sources` prints the same, `tonnage show NAME`
gives one source or one thing with where each of its facts comes from, and `tonnage sources RESULT.json` the facts
behind an answer.

**No fact without a source.** Each row of each table names one; the loader refuses a row that does not, and a test
counts. *fetched* means that the figure was seen in the source, or in the second-hand copy named under *via*;
*recalled* that it comes from memory of the source, which was not read again: check it before relying on it. Recalled
facts say so wherever they are shown.

## Attributions and licences

Figures are facts, cited with their source. Where a source asks for attribution or has a licence, it is named here and
in `NOTICE`.

| from | licence | what is used |
| --- | --- | --- |
| Epoch AI, Machine Learning Hardware | CC-BY 4.0 | data sheets, release dates, some prices |
| Epoch AI, Notable AI Models and AI Models | CC-BY 4.0 | training runs: accelerators, tokens, sizes, days |
| InferenceX by SemiAnalysis | Apache-2.0 | peaks, links, cost of owning, power; measured serving results |
| NVIDIA AIConfigurator (Dynamo) | Apache-2.0 | peaks and links of NVIDIA systems; measured sample of latencies |
| Alibaba InferSim | Apache-2.0 | H20 and H800 as used inside Alibaba |
| DeepSeek open-infra-index | CC0 1.0 | one day of service; cost accounting |
| SkyPilot catalog | not verified | list prices of clouds |
| gpu-price-index, gpu-price-feed, gpuhunt, GPU price tracker on GitHub | not verified | rents and prices by place |
| simonw/llm-prices | no licence file | history of prices per token |
| Azure public dataset | CC-BY 4.0 | arrivals of requests (Splitwise, ISCA 2024), for tests with traces |
| Mooncake | Apache-2.0 | requests with prefix blocks (FAST 2025), for tests with traces |
| LLMServingSim (CASYS, KAIST) | MIT | logs of vLLM runs, for tests with traces |
"""

TABLE_TEXT = {
    "chips": "accelerators: dense rates, memory, links, NIC, power, dies, release",
    "servers": "nodes, racks, pods: which chip, how many, in what scale-up domain",
    "prices": "rents by place, date and term; purchase; cost of owning; rate of exchange",
    "power_prices": "electricity",
    "supply": "shipments, orders, stocks, plans",
    "fleets": "fleets as reported",
    "demand": "published days of service",
    "training_runs": "public record of training runs: when announced, on which chip and stack, how they ended",
    "launches": "what was said of a model's launch beforehand, and when it came",
    "model_releases": "which model when",
    "api_prices": "prices per token",
    "market": "statements on the market",
    "events": "what happened, when, how firm, and since when it could be known",
    "cutoffs": "days to plan from with hindsight taken away",
}


CASES = """## Published results and the form of a case

What others measured, for `tonnage accuracy`. `--cases FILE` takes the same form: JSON Lines, one object a line, in base
units (token, second, FLOP, byte); a key that the source does not give is absent, never filled.

**Every case**: `id`; `group` (one vote each in a summary); `source` {title, url, where}; `date`; `chip` (a key of the
catalogue) and `count`, the accelerators that per-accelerator figures divide by; `flags`; `quality`.

**Training**: `framework`; `model` as the source gives its shape, or `bundled` (id of a known model), `reduced_from`
(the model a run was cut from); `precision`, `seq`, `global_batch` (sequences a step), `micro_batch`, `grad_accum`;
`task` (pretrain, sft, lora); `layout` {tp, pp, vpp, cp, ep, etp, dp, zero, recompute, schedule ...} with
count x ranks of an accelerator = tp x pp x cp x dp; `metric` is `tokens_per_second_per_accelerator` and `published` its
value, or `published_range`; `published_from` says what was printed (step time, rate, accelerator-hours, model FLOP/s,
MFU ...); `noise` is the relative spread of repeats. Scored by default: quality *full*, `curated`, and none of the flags
that say what a case cannot decide (`layer_reduced`, `lower_bound`, `production_average`, `conflicting_duplicate`,
`noisy_steps`, `step_and_throughput_disagree`, `layout_inconsistent`, `layout_incomplete`, `series_label_inferred`,
`modified_block`, `shape_from_defaults`, `untuned_layout`, `count_rounded`, `early_software`, `known_regression`).

**Serving and silicon**: `engine`, `engine_version`, `orchestrator`; `model` (an id); `weights` and `kv` precision;
`mode` (aggregated, disaggregated, prefill, decode); `layout` {tp: ranks of one attention replica, dp: attention
replicas, pp, ep, moe_tp}, for both pools when disaggregated, with `count` and `workers`; `workload` {input_len,
output_len (means really used), length_distribution, arrival, concurrency (of the whole deployment, or `saturated`),
batch_per_accelerator, request_rate, cache_hit, mean_context, speculative}; `metrics` {output_ and
input_tokens_per_second_per_accelerator, over all accelerators of the deployment; ttft, tpot, e2e with `_stat`}.
Scored by default: `expressible`, quality high or medium, none of the flags `layout_uncertain`, `moe_layout_unstated`,
`random_prompt_speculation`, `inconsistent`, `rate_meaning_unclear`, `peak_not_steady`, `simulated_expert_balance`,
`counts_cached_tokens`, `simulated_speculation`; ttft only of aggregated cases without `queueing_ttft`; rates not of
arrival-limited cases.

**Durations** (whole runs): the keys of training, and `tokens` of the run; `metric` is `accelerator_hours` and
`published` its value; `published_from` says what was printed (accelerator_hours, days x count, or step_time and
tokens_per_second, which hold steps alone); `source.status` whether the source was read or is recalled.

Errors are summarised as exp|ln(predicted/published)| - 1 with one vote per source, sources under ten cases pooled;
`aic-inferencex` and `inferencex` are one source.
"""


def document() -> str:
    """Text of docs/sources.md."""
    return "\n".join([HEAD, *_tables(), *_prices(), *_format(), *_sources(), *_rules(), *_models(), *_cases()]) + "\n"


def _tables() -> list[str]:
    catalog = load()
    lines = ["## Tables", "", "| table | facts | recalled | what |", "| --- | ---: | ---: | --- |"]
    for table in TABLES:
        facts = catalog.tables[table]
        recalled = sum(fact.recalled for fact in facts)
        lines.append(f"| `{table}.csv` | {len(facts):,} | {recalled:,} | {TABLE_TEXT[table]} |")
    kinds = Counter(fact.kind for fact in catalog.facts)
    spread = ", ".join(f"{kind} {kinds[kind]:,}" for kind in KINDS)
    return [*lines, "", f"{len(catalog.facts):,} facts by kind: {spread}.", "", *_recalled()]


CHIP_FACTS = {
    "bandwidth of memory, die area (they decide a law)": ("bandwidth", "die_area"),
    "memory": ("memory", "memory_visible", "memory_type"),
    "links, domains, NICs": ("link", "link_name", "domain", "nic"),
    "software stack, generation (they decide a readiness)": ("stack", "generation"),
    "power": ("power", "all_in_power"),
    "process, dies": ("process", "process_node", "dies", "silicon_dies"),
    "release": ("released", "shipping_from", "status", "licence_free_sale"),
}
"""Kinds of facts of a chip, by attribute; rates are known by their prefix, the rest are descriptions."""


def _kind_of(table: str, attribute: str) -> str:
    """What a fact is about: for chips by attribute, for other tables the table."""
    if table != "chips":
        return TABLE_TEXT[table]
    if attribute.partition(".")[0] == "rates":
        return "chips: dense rates (they decide a rate and a law)"
    found = next((kind for kind, names in CHIP_FACTS.items() if attribute in names), "descriptions")
    return f"chips: {found}"


def _recalled() -> list[str]:
    """How many facts are still recalled, by what they are about and by where they were said."""
    catalog = load()
    facts, left, said = Counter[str](), Counter[str](), Counter[str]()
    for table in TABLES:
        for fact in catalog.tables[table]:
            kind = _kind_of(table, fact.attribute)
            facts[kind] += 1
            left[kind] += fact.recalled
            said[fact.kind] += fact.recalled
    rules = [source.known == "recalled" for source in load_rules().sources.values()]
    lines = ["## What is still recalled", "", "| about | facts | recalled | share |", "| --- | ---: | ---: | ---: |"]
    for kind, count in sorted(left.items(), key=lambda item: (-item[1], item[0])):
        if count:
            lines.append(f"| {kind} | {facts[kind]:,} | {count:,} | {count / facts[kind]:.0%} |")
    lines.append(f"| sources of the rules | {len(rules):,} | {sum(rules):,} | {sum(rules) / len(rules):.0%} |")
    spread = ", ".join(f"{kind} {said[kind]:,}" for kind in KINDS if said[kind])
    return [*lines, "", f"{left.total():,} of {facts.total():,} facts are recalled, by kind: {spread}.", ""]


MARKETS = """## Prices of every chip with a market

*sold*: by its maker, today; *rented*: by its maker only; *ended*: no longer made, still in use. A rent is the
catalogue's default where no place and no term is asked; where none is known, what owning costs
([catalogue](method/catalogue.md)) stands in for it. Chips that are announced, kept by their maker (*captive*) or were
never sold have no market.

| chip | market | rent | term, place | of | newest rent | owning |
| --- | --- | ---: | --- | --- | --- | ---: |
"""


def _prices() -> list[str]:
    catalog = load()
    lines = MARKETS.splitlines()
    for chip in catalog.chips():
        market = catalog.fact(chip, "market").text
        rents, owning = catalog.price(chip), owned(catalog, chip, None, None)[:1]
        if market in ("sold", "rented", "ended") and (rents or owning or market != "ended"):
            best = rents[0] if rents else None
            newest = max((rent.date for rent in rents if rent.date), default="-")
            held = f"{best.tenure}, {' '.join(best.place)}" if best else "-"
            cells = (show_price(best.value) if best else "-", held, str(best.date) if best else "-", str(newest))
            cost = show_price(owning[0].value) if owning else "-"
            lines.append(f"| `{chip}` | {market} | {' | '.join(cells)} | {cost} |")
    return [*lines, ""]


def _format() -> list[str]:
    return [
        "## Columns, units and facts of your own",
        "",
        f"Columns: `{','.join(COLUMNS)}`; a table may add `{'`, `'.join(MORE)}`.",
        "",
        f"Units as printed: {', '.join(f'`{unit}`' for unit in (*UNITS, *WORDS))}.",
        f"Kinds: {', '.join(KINDS)}.",
        "",
        OVERLAY,
    ]


OVERLAY = """A folder given with `--catalog` holds tables of the same names and columns (with a `sources.csv` of its
own, whose columns are `key,title,url,via,licence,known`), and one YAML file for each chip described by
hand. Its facts come before ours, the first match wins, and ours stay as they are:

```yaml
chip: foo-1
title: Foo-1, as quoted
vendor: Foo
stack: foo-sdk          # the software it is programmed by: cuda, rocm, cann ...; left out: not known
generation: foo-gen1    # the family of its die, as in `tonnage show CHIP`; left out: not known
source: Quotation of our supplier, 2026-03     # a title, a key of sources.csv, or {title: ..., url: ...}
released: 2026-03       # first day on sale; announced, shipping_from: where they are other days
rates: {bf16: 280 to 320 TFLOP/s, fp8: 600 TFLOP/s}     # dense; a range is an interval about its middle
memory: 64 GB
bandwidth: 1.6 TB/s
link: 200 GB/s          # per direction
domain: 8               # accelerators in one scale-up domain
nic: 200 Gbit/s         # per accelerator and direction
power: 400 W
die_area: 600 mm2
datacentre: true
sold: true              # false: only rented in its maker's cloud
price: $0.80/h to $1.20/h
place: CN
```
"""


def _sources() -> list[str]:
    rows = sorted(source_rows(load()), key=lambda row: (-row["facts"], row["source"]))
    lines = ["## Sources of the catalogue", "", "| source | facts | known | title |", "| --- | ---: | --- | --- |"]
    for row in rows:
        title = f"[{_plain(row['title'])}]({row['url']})" if row["url"] else _plain(row["title"])
        via = f"; via {_plain(row['via'])}" if row["via"] else ""
        lines.append(f"| `{row['source']}` | {row['facts']} | {row['known']} | {title}{via} |")
    return [*lines, ""]


def _rules() -> list[str]:
    lines = ["## Sources of the rules", "", "| source | known | title |", "| --- | --- | --- |"]
    for source in sorted(load_rules().sources.values(), key=lambda source: source.id):
        title = f"[{_plain(source.title)}]({source.url})" if source.url else _plain(source.title)
        via = f"; via {_plain(source.via)}" if source.via else ""
        lines.append(f"| `{source.id}` | {source.known} | {title}{via} |")
    return [*lines, ""]


def _models() -> list[str]:
    catalog = load()
    known = {name: _plain(str(entry(name, catalog.model_lines)["source"])) for name in catalog.models()}
    lines = ["## Configurations of the bundled models", "", "| model | source |", "| --- | --- |"]
    return [*lines, *(f"| `{name}` | {source} |" for name, source in known.items()), ""]


def _cases() -> list[str]:
    lines = [CASES, "| group | kind | cases | first source |", "| --- | --- | ---: | --- |"]
    for kind in KINDS_OF_CASES:
        groups: dict[str, list[Any]] = {}
        for case in load_cases(kind):
            groups.setdefault(case["group"], []).append(case["source"])
        for group, sources in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
            lines.append(f"| `{group}` | {kind} | {len(sources):,} | {_link(sources[0])} |")
    return lines


def _link(source: dict[str, str]) -> str:
    title = _plain(source["title"])
    return f"[{title}]({source['url']})" if source.get("url", "").startswith("http") else title


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "/").replace("[", "(").replace("]", ")").split())


def main() -> int:
    """Write the document, or with --check compare it."""
    text = document()
    if "--check" in sys.argv[1:]:
        same = DOCUMENT.exists() and DOCUMENT.read_text(encoding="utf-8") == text
        print("docs/sources.md is up to date" if same else "docs/sources.md is stale: run scripts/sources.py")
        return 0 if same else 1
    DOCUMENT.write_text(text, encoding="utf-8")
    print(f"wrote {DOCUMENT} ({len(text.splitlines())} lines)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
