"""The engines' own parsers: run by `scripts/export_check` with the Python of the environment that has the engine.

`python parsers.py NAME` reads cases as JSON, one a line (`{"id": ..., "words": [...]}` for a command, `{"text": ...}`
for a file), and writes `{"id": ..., "why": ""}` for one that is taken, and otherwise what its engine says.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import io
import json
import os
import sys
import types
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any
from unittest.mock import MagicMock

Case = dict[str, Any]
Taker = Callable[[Case], None]


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for modules that an engine imports and its parser does not use."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """A module of one of the names."""
        if name.partition(".")[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """A module that has whatever is asked of it."""
        made = types.ModuleType(spec.name)
        made.__path__ = []
        made.__getattr__ = lambda name: MagicMock()  # type: ignore[method-assign]
        return made

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is run."""


def vllm() -> Taker:
    """`vllm serve`."""
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = make_arg_parser(FlexibleArgumentParser())
    return lambda case: (parser.parse_args(case["words"]), None)[1]


def vllm_bench() -> Taker:
    """`vllm bench serve`."""
    sys.meta_path.insert(0, Absent("pandas", "datasets"))
    from vllm.benchmarks.serve import add_cli_args

    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_cli_args(parser)
    return lambda case: (parser.parse_args(case["words"]), None)[1]


def sglang() -> Taker:
    """`sglang.launch_server`."""
    sys.meta_path.insert(0, Absent("IPython"))
    from sglang.srt.server_args import ServerArgs

    parser = argparse.ArgumentParser(allow_abbrev=False)
    ServerArgs.add_cli_args(parser)
    return lambda case: (parser.parse_args(case["words"]), None)[1]


def sglang_bench() -> Taker:
    """`sglang.bench_serving`, stopped before it sends anything."""
    sys.meta_path.insert(0, Absent("IPython", "pandas", "datasets", "pybase64", "torchvision", "gguf"))
    from sglang.benchmark import serving

    def stopped(*_: object) -> None:
        raise StopIteration

    serving.run_benchmark = stopped  # what it does with the words

    def taken(case: Case) -> None:
        sys.argv = ["bench_serving", *case["words"]]
        try:
            serving.cli_main()
        except StopIteration:
            return

    return taken


def dynamo_vllm() -> Taker:
    """`dynamo.vllm`: its own flags and vLLM's."""
    from dynamo.vllm.args import _parse_cli_args

    return lambda case: (_parse_cli_args(case["words"]), None)[1]


def dynamo_sglang() -> Taker:
    """`dynamo.sglang`: its own flags and SGLang's, as its parser splits them."""
    sys.meta_path.insert(0, Absent("IPython"))
    from dynamo.common.configuration.groups.runtime_args import DynamoRuntimeArgGroup
    from dynamo.sglang.backend_args import DynamoSGLangArgGroup
    from sglang.srt.server_args import ServerArgs

    own = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    DynamoRuntimeArgGroup().add_arguments(own)
    DynamoSGLangArgGroup().add_arguments(own)
    engine = argparse.ArgumentParser(allow_abbrev=False)
    ServerArgs.add_cli_args(engine)
    return lambda case: (engine.parse_args(own.parse_known_args(case["words"])[1]), None)[1]


def ray() -> Taker:
    """`serve deploy`: the schema of its file."""
    from ray.serve.schema import ServeDeploySchema
    from ruamel.yaml import YAML

    return lambda case: (ServeDeploySchema.model_validate(YAML(typ="safe").load(case["text"])), None)[1]


def kubernetes() -> Taker:
    """The API server's schemas of core kinds, strict; those of custom resources are given with the case."""
    import jsonschema
    import kubernetes_validate
    from ruamel.yaml import YAML

    def taken(case: Case) -> None:
        for document in YAML(typ="safe").load_all(case["text"]):
            held = case["schemas"].get(f"{document['apiVersion']}/{document['kind']}")
            if case["kinds"] and document["kind"] not in case["kinds"]:
                continue
            if held is not None:
                jsonschema.validate(document, held["schema"])
                template = document.get("spec", {}).get("leaderWorkerTemplate", {}).get("workerTemplate")
                if template:
                    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": template["spec"]}
                    kubernetes_validate.validate(pod, "1.37", strict=True)
            else:
                kubernetes_validate.validate(document, "1.37", strict=True)

    return taken


def skypilot() -> Taker:
    """A task of SkyPilot, as its own loader reads it."""
    import sky
    from ruamel.yaml import YAML
    from sky.utils import common_utils, schemas

    def taken(case: Case) -> None:
        for document in YAML(typ="safe").load_all(case["text"]):
            common_utils.validate_schema(document, schemas.get_task_schema(), "task: ")
            envs = [(name, "x") for name, value in (document.get("envs") or {}).items() if value is None]
            sky.Task.from_yaml_config(document, env_overrides=envs)

    return taken


PARSERS: dict[str, Callable[[], Taker]] = {
    "vllm": vllm,
    "vllm-bench": vllm_bench,
    "sglang": sglang,
    "sglang-bench": sglang_bench,
    "dynamo-vllm": dynamo_vllm,
    "dynamo-sglang": dynamo_sglang,
    "ray": ray,
    "kubernetes": kubernetes,
    "skypilot": skypilot,
}


def main() -> None:
    """Answer every case."""
    os.environ.setdefault("VLLM_TARGET_DEVICE", "cpu")
    answers = sys.stdout
    with redirect_stdout(io.StringIO()):
        taker = PARSERS[sys.argv[1]]()
    for row in sys.stdin:
        case, said = json.loads(row), io.StringIO()
        why = ""
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(said):
                taker(case)
        except SystemExit:
            why = said.getvalue().strip().splitlines()[-1] if said.getvalue().strip() else "refused"
        except Exception as error:
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        print(json.dumps({"id": case["id"], "why": why[:300]}), file=answers, flush=True)


if __name__ == "__main__":
    main()
