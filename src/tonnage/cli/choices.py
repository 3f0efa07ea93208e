"""What may stand after a flag, or in a word's place: names of models, chips, engines, formats, places, and files."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.cli.arguments import Option, VerbWords

FILES: Mapping[tuple[str, str], str] = {
    ("", "anchor"): "*",
    ("", "calibration"): "jsonl",
    ("", "catalog"): "/",
    ("", "ledger"): "*",
    ("", "measured"): "jsonl",
    ("", "output"): "*",
    ("accuracy", "cases"): "jsonl",
    ("compare", "first"): "json",
    ("compare", "second"): "json",
    ("export", "result"): "json",
    ("fit", "from"): "*",
    ("launch", "more"): "yaml",
    ("launch", "picture"): "svg",
    ("launch", "programme"): "yaml",
    ("launch", "resume"): "/",
    ("qualify", "into"): "jsonl",
    ("qualify", "report"): "html",
    ("rerun", "result"): "json",
    ("run serve", "file"): "yaml",
    ("run train", "into"): "/",
    ("run train", "plan"): "yaml",
    ("serve", "from"): "*",
    ("simulate", "fit_trace"): "*",
    ("simulate", "plan"): "json",
    ("simulate", "requests_out"): "*",
    ("simulate", "trace"): "*",
    ("sources", "result"): "json",
    ("train", "from"): "*",
    ("mcp", "in"): "/",
    ("new", "file"): "yaml",
}
"""Files that a verb's option takes, by their ending; `*` any, `/` a folder; verb `` where all mean the same."""

NAMES: Mapping[tuple[str, str], str] = {
    ("", "base"): "base",
    ("", "engine"): "engine",
    ("", "framework"): "framework",
    ("", "gradients"): "gradients",
    ("", "headquarters"): "place",
    ("", "in"): "place",
    ("", "kv"): "kv",
    ("", "lora_on"): "lora_on",
    ("", "master"): "master",
    ("", "mode"): "mode",
    ("", "model"): "model",
    ("", "moments"): "moments",
    ("", "move_to"): "fleet",
    ("", "offload"): "offload",
    ("", "on"): "fleet",
    ("", "optimizer"): "optimizer",
    ("", "order"): "order",
    ("", "precision"): "precision",
    ("", "price_list"): "api_model",
    ("", "rollout_on"): "fleet",
    ("", "shipped_from"): "place",
    ("", "task"): "task",
    ("", "term"): "term",
    ("", "weights"): "weights",
    ("export", "engine"): "target",
    ("lawful", "from"): "chip",
    ("new", "from"): "start",
    ("qualify", "device"): "device",
    ("run train", "device"): "device",
    ("run train", "precision"): "run_precision",
    ("show", "what"): "shown",
    ("simulate", "arrivals"): "arrivals",
    ("simulate", "routing"): "sent",
    ("train", "routing"): "routing",
}
"""Kinds of names that an option takes, likewise. `fleet` is a count and a chip: `8xh20`."""

DEVICES = ("cpu", "cuda", "npu", "musa", "xpu")
"""Kinds of `tonnage.device`."""
ROUTINGS = ("learned", "forced", "dropped")
"""Of tokens to experts in training (`TrainJob`)."""


def kind(verb: VerbWords, option: Option) -> str:
    """Kind of what an option takes: one of `names()`, `file:ENDING`, `:` for choices of its own, or empty."""
    if option.choices:
        return ":"
    for key in ((" ".join(verb.path), option.name), ("", option.name)):
        if key in NAMES:
            return NAMES[key]
        if key in FILES:
            return f"file:{FILES[key]}"
    return ""


def names() -> dict[str, tuple[str, ...]]:
    """Every name of each kind, as they are known now. Those of `fleet` are its chips."""
    from tonnage import catalog
    from tonnage.ask.price import TERMS
    from tonnage.cli.new import STARTS
    from tonnage.export.engines import SERVING
    from tonnage.report.show import listed
    from tonnage.run.train.plan import PRECISIONS as RUN_PRECISIONS
    from tonnage.serve.job import MODES
    from tonnage.serve.replica.engines import ENGINES
    from tonnage.serve.replica.formats import CACHES, WEIGHTS
    from tonnage.simulate.generate import COMINGS
    from tonnage.simulate.service import ORDERS
    from tonnage.simulate.service import ROUTINGS as SENT

    known = catalog.load()
    chips = tuple(sorted({*known.chips(), *known.aliases}))
    models = known.model_names()
    return {
        "api_model": tuple(sorted({model for record in known.api_prices() for model in record.about})),
        "arrivals": COMINGS,
        "chip": chips,
        "device": DEVICES,
        "engine": tuple(ENGINES),
        "fleet": chips,
        "kv": CACHES,
        "mode": MODES,
        "model": models,
        "order": ORDERS,
        "place": _places(),
        "run_precision": RUN_PRECISIONS,
        "sent": SENT,
        "shown": tuple(dict.fromkeys((*listed(), *chips, *models, *_rules()))),
        "start": tuple(STARTS),
        "target": tuple(SERVING),
        "term": TERMS,
        "weights": WEIGHTS,
        **_training(),
    }


def _training() -> dict[str, tuple[str, ...]]:
    """Names that training alone has."""
    from tonnage.train.adapters import PLACES
    from tonnage.train.frameworks import names as frameworks
    from tonnage.train.job import PRECISIONS, TASKS
    from tonnage.train.upkeep import BASES, FORMATS, GRADIENTS, MASTERS, OFFLOADS, OPTIMIZERS

    return {
        "base": tuple(BASES),
        "framework": frameworks(),
        "gradients": tuple(GRADIENTS),
        "lora_on": PLACES,
        "master": tuple(MASTERS),
        "moments": tuple(FORMATS),
        "offload": OFFLOADS,
        "optimizer": tuple(OPTIMIZERS),
        "precision": PRECISIONS,
        "routing": ROUTINGS,
        "task": TASKS,
    }


def _places() -> tuple[str, ...]:
    """Codes of countries, and of the groups of them that prices have."""
    from tonnage.ask.price import place_code
    from tonnage.law import load_rules

    return tuple(sorted({*load_rules().places.codes, place_code("EU")}))


def _rules() -> tuple[str, ...]:
    from tonnage.law import load_rules

    return tuple(rule.id for rule in load_rules().rules)
