"""Files of Ray Serve and SkyPilot against their own schemas, as drawn; `make export-check` has the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from tonnage import catalog
from tonnage.export import serving_files
from tonnage.model import load
from tonnage.serve import ServeJob, ServePlan, plan
from tonnage.system import System, accelerator

SCHEMAS = json.loads((Path(__file__).parent / "data" / "schedulers.json").read_text(encoding="utf-8"))
NAMES = {"ray": "ray-serve", "skypilot": "skypilot"}
PLANTED = {
    "ray": [
        ("import_path: .*", "import_path: 3"),
        ("import_path:", "import_paths:"),
        ("route_prefix: .*", "route_prefix: [a]"),
        ("^applications:", "proxy_location: Nowhere\napplications:"),
    ],
    "skypilot": [
        ("num_nodes: .*", "num_nodes: many"),
        ("num_nodes:", "num_nodez:"),
        ("resources:", "resource:"),
        ("^run:", "runs:"),
    ],
}


@pytest.fixture(scope="module", params=["aggregated", "disaggregated"])
def served(request: pytest.FixtureRequest) -> ServePlan:
    known = catalog.load()
    job = ServeJob(load("qwen3-32b", known), 2000.0, 500.0, engine="vllm", mode=request.param)
    return plan(job, System(accelerator("h100-sxm", known), 8))


@pytest.mark.parametrize("target", NAMES)
def test_a_schedulers_own_schema_takes_its_files_and_no_mistakes(target: str, served: ServePlan) -> None:
    schema = SCHEMAS[NAMES[target]]["schema"]
    texts = [one.text for one in serving_files(served, target) if one.name.endswith(".yaml")]
    assert texts
    for text in texts:
        for document in YAML(typ="safe").load_all(text):
            jsonschema.validate(document, schema)
        for pattern, by in PLANTED[target]:
            wrong = re.sub(pattern, by, text, count=1, flags=re.M)
            assert wrong != text
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(YAML(typ="safe").load(wrong), schema)
