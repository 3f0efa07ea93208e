"""Launch files as people write them, of every kind: shell, containers, manifests, programs; each with what it asks.

`data/variants.txt` has them, in the forms of public tutorials; what each asks was found by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.launchfile import read

CATALOG = catalog.load()


def _files() -> dict[str, tuple[str, dict[str, str]]]:
    """Name -> text, and the files that lie beside it."""
    text = (Path(__file__).parent / "data" / "variants.txt").read_text(encoding="utf-8")
    found = {}
    for part in text.split("==== ")[1:]:
        name, _, body = part.partition("\n")
        own, *beside = body.split("---- ")
        found[name] = (own, dict(one.split("\n", 1) for one in beside))
    return found


COMMAND = "vllm serve Qwen/Qwen3-32B \\\n  --tensor-parallel-size 4 \\\n  --max-num-seqs 16\n"

FILES = _files() | {"crlf.sh": (COMMAND.replace("\n", "\r\n"), {}), "bom.sh": ("\ufeff#!/bin/bash\n" + COMMAND, {})}

ASKED = {
    "docker.sh": (
        "8xh200-sxm",
        "Qwen/Qwen3-32B",
        None,
        "running=256 context=32000 layout=tp4,pp1,dp2 engine=vllm@0.11.0",
        0,
    ),
    "docker_dev.sh": (
        "8xh200-sxm",
        "GLM-4.5-Air",
        None,
        "memory_share=0.9 weights=fp8 layout=tp2,pp1,dp4,ep1,etp2 engine=sglang@0.5.5",
        0,
    ),
    "podman_rocm.sh": (
        "8xmi300x",
        "Llama-3.1-405B-Instruct",
        None,
        "kv=fp8 weights=fp8 layout=tp8,pp1,dp1 engine=vllm",
        0,
    ),
    "ascend.sh": (
        "16xascend-910b",
        "Qwen3-235B-A22B",
        None,
        "weights=int8 layout=tp16,pp1,dp1,ep16 engine=vllm-ascend@0.11.0",
        0,
    ),
    "compose2.yaml": (
        "8xh200-sxm",
        "Qwen/Qwen3-30B-A3B",
        None,
        "context=32768 layout=tp2,pp1,dp4,ep1,etp2 engine=sglang",
        0,
    ),
    "config_beside.sh": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "kv=fp8 layout=tp4,pp1,dp2 engine=vllm", 0),
    "vllm_conf.yaml": (
        "8xh200-sxm",
        "openai/gpt-oss-120b",
        None,
        "chunk=8192 layout=tp4,pp1,dp2,ep1,etp4 engine=vllm",
        0,
    ),
    "trt_beside.sh": (
        "8xb200-sxm",
        "DeepSeek-R1-0528",
        None,
        "running=128 memory_share=0.85 kv=fp8 speculate=3 weights=nvfp4 layout=tp1,pp1,dp8,ep8 engine=trtllm",
        0,
    ),
    "k8s_args.yaml": (
        None,
        "meta-llama/Llama-3.3-70B-Instruct",
        "8xh100-sxm",
        "context=16384 layout=tp4,pp1,dp2 engine=vllm@0.10.2",
        0,
    ),
    "k8s_sh.yaml": (
        "8xmi300x",
        "deepseek-ai/DeepSeek-R1-0528",
        None,
        "running=512 layout=tp8,pp1,dp1,ep1,etp8 engine=vllm@0.9",
        0,
    ),
    "lws_ray.yaml": ("16xh100-sxm", "Llama-3.1-405B", None, "layout=tp8,pp2,dp1 engine=vllm", 0),
    "sky2.yaml": (None, "Qwen/Qwen3-235B-A22B-Instruct-2507", "16xh200-sxm", "layout=tp8,pp1,dp2,ep8 engine=vllm", 0),
    "ray_llm.py": (None, "Qwen/Qwen2.5-32B-Instruct", "8xh100-sxm", "context=16384 layout=tp4,pp1,dp2 engine=vllm", 0),
    "rayservice.yaml": (
        "8xh200-sxm",
        "Qwen/Qwen2.5-7B-Instruct",
        None,
        "memory_share=0.75 context=1024 layout=tp2,pp1,dp4 engine=vllm isl=819 osl=204",
        0,
    ),
    "kserve.yaml": (
        "8xh200-sxm",
        "meta-llama/Llama-3.1-8B-Instruct",
        None,
        "context=8192 layout=tp2,pp1,dp4 engine=vllm",
        0,
    ),
    "kserve_uri.yaml": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "context=32768 layout=tp4,pp1,dp2 engine=vllm@0.12.0", 0),
    "kubeai.yaml": (
        "8xh200-sxm",
        "Llama-3.3-70B-Instruct",
        None,
        "context=65536 weights=fp8 layout=tp2,pp1,dp4 engine=vllm",
        1,
    ),
    "dynamo_sgl.yaml": (
        "32xh200-sxm",
        "deepseek-ai/DeepSeek-R1",
        None,
        "layout=tp1,pp1,dp16,ep16 mode=disaggregated prefill_layout=tp8,pp1,dp1,ep1,etp8 engine=sglang",
        0,
    ),
    "helm_llmd.yaml": (
        "24xh200-sxm",
        "deepseek-ai/DeepSeek-R1-0528",
        None,
        "layout=tp1,pp1,dp16,ep16 mode=disaggregated prefill_layout=tp1,pp1,dp8,ep8 engine=vllm",
        0,
    ),
    "stack.yaml": (
        "8xh200-sxm",
        "meta-llama/Llama-3.1-8B-Instruct",
        None,
        "running=128 memory_share=0.85 context=16384 layout=tp1,pp1,dp8 engine=vllm",
        0,
    ),
    "func.sh": (
        "8xh200-sxm",
        "Qwen3-Coder-480B-A35B-Instruct",
        None,
        "context=131072 weights=fp8 layout=tp8,pp1,dp1,ep8 engine=vllm",
        0,
    ),
    "func_args.sh": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "running=32 layout=tp4,pp1,dp2 engine=vllm", 0),
    "slurm.sbatch": (
        "16xh200-sxm",
        "moonshotai/Kimi-K2-Instruct",
        None,
        "layout=tp16,pp1,dp1,ep1,etp16 engine=sglang",
        0,
    ),
    "json_esc.sh": (
        "8xh200-sxm",
        "deepseek-ai/DeepSeek-V3.2",
        None,
        "speculate=1 layout=tp8,pp1,dp1,ep1,etp8 engine=vllm",
        0,
    ),
    "json_var.sh": (
        "8xh200-sxm",
        "meta-llama/Llama-3.3-70B-Instruct",
        None,
        "speculate=3 layout=tp4,pp1,dp2 engine=vllm",
        0,
    ),
    "dotted.sh": (
        "8xh200-sxm",
        "GLM-4.5",
        None,
        "context=131072 speculate=1 weights=fp8 layout=tp8,pp1,dp1,ep1,etp8 engine=vllm",
        0,
    ),
    "auto.sh": ("8xh200-sxm", "GLM-4.6", None, "weights=fp8 layout=tp8,pp1,dp1,ep1,etp8 engine=vllm", 0),
    "sgl_nextn.sh": (
        "8xh200-sxm",
        "deepseek-ai/DeepSeek-V3-0324",
        None,
        "running=128 chunk=4096 memory_share=0.85 speculate=3 layout=tp1,pp1,dp8,ep8 engine=sglang",
        0,
    ),
    "sgl_cli.sh": (
        "8xh200-sxm",
        "Qwen/Qwen3-Next-80B-A3B-Instruct",
        None,
        "context=262144 layout=tp4,pp1,dp2,ep1,etp4 engine=sglang",
        0,
    ),
    "uv.sh": ("8xh200-sxm", "google/gemma-3-27b-it", None, "context=8192 layout=tp2,pp1,dp4 engine=vllm", 0),
    "climain.sh": ("1xh100-sxm", "microsoft/Phi-4-mini-instruct", None, "running=64 layout=tp1,pp1,dp1 engine=vllm", 0),
    "nested_default.sh": ("8xh200-sxm", "Qwen/Qwen3-14B", None, "context=16384 layout=tp2,pp1,dp4 engine=vllm", 0),
    "served.sh": ("8xh200-sxm", "Qwen3-32B", None, "layout=tp4,pp1,dp2 engine=vllm", 0),
    "path.sh": ("8xh200-sxm", "DeepSeek-R1-Distill-Llama-70B", None, "layout=tp8,pp1,dp1 engine=vllm", 0),
    "snap.sh": ("8xh200-sxm", "Qwen/Qwen3-30B-A3B", None, "layout=tp2,pp1,dp4,ep1,etp2 engine=vllm", 0),
    "s3.sh": ("8xh200-sxm", "Qwen3-32B-FP8", None, "layout=tp2,pp1,dp4 engine=vllm", 0),
    "crlf.sh": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "running=16 layout=tp4,pp1,dp2 engine=vllm", 0),
    "bom.sh": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "running=16 layout=tp4,pp1,dp2 engine=vllm", 0),
    "Dockerfile": ("1xh100-sxm", "Qwen/Qwen3-8B", None, "context=16384 layout=tp1,pp1,dp1 engine=vllm@0.11.0", 0),
    "Dockerfile.shell": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "layout=tp4,pp1,dp2 engine=sglang", 0),
    "vllm.service": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "memory_share=0.9 layout=tp2,pp1,dp4 engine=vllm", 0),
    "README.md": ("8xh200-sxm", "Qwen/Qwen3-235B-A22B-Thinking-2507", None, "layout=tp8,pp1,dp1,ep8 engine=vllm", 0),
    "modal.py": ("1xh100-sxm", "Qwen3-8B", None, "eager=True weights=fp8 layout=tp1,pp1,dp1 engine=vllm", 0),
    "sgl_engine.py": (
        "8xh200-sxm",
        "deepseek-ai/DeepSeek-V3",
        None,
        "memory_share=0.8 context=8192 layout=tp8,pp1,dp1,ep1,etp8 engine=sglang",
        0,
    ),
    "trt.py": (
        "8xh200-sxm",
        "deepseek-ai/DeepSeek-V3",
        None,
        "memory_share=0.85 speculate=1 layout=tp1,pp1,dp8,ep8 engine=trtllm",
        0,
    ),
    "configmap.yaml": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "context=32768 layout=tp4,pp1,dp2 engine=vllm", 0),
    "caseif.sh": ("8xh200-sxm", "Qwen/Qwen3-8B", None, "layout=tp1,pp1,dp8 engine=vllm", 0),
    "pd.sh": (
        "8xh200-sxm",
        "Qwen/Qwen3-32B",
        None,
        "layout=tp4,pp1,dp1 mode=disaggregated prefill_layout=tp2,pp1,dp1 engine=vllm",
        0,
    ),
    "env.yaml": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "layout=tp4,pp1,dp2 engine=vllm@0.11.0", 0),
    "set_list.sh": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "running=64 layout=tp4,pp1,dp2 engine=vllm", 0),
    "printf.sh": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "running=64 layout=tp4,pp1,dp2 engine=vllm", 0),
    "cmdvar.sh": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "layout=tp4,pp1,dp2 engine=vllm", 0),
    "screen.sh": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "layout=tp4,pp1,dp2 engine=vllm", 0),
    "ssh.sh": ("8xh200-sxm", "Qwen/Qwen3-32B", None, "running=32 layout=tp8,pp1,dp1 engine=vllm", 0),
}
"""Accelerators that are given, model, accelerators that the file says, words of the question, unknown settings."""


def test_every_file_has_its_answer() -> None:
    assert FILES.keys() == ASKED.keys() and len(FILES) > 45


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_asks(name: str, tmp_path: Path) -> None:
    text, beside = FILES[name]
    path = tmp_path / name
    path.write_bytes(text.encode())
    for other, held in beside.items():
        (tmp_path / other).write_text(held, encoding="utf-8")
    on, model, said, words, strange = ASKED[name]
    found = read(path, CATALOG, on=(on,) if on else ())
    assert (found.model, found.on) == (model, said)
    assert " ".join(f"{key}={value}" for key, value in found.words.items()) == words
    assert len(found.strange) == strange


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Llama 405B (installed by the image)", "meta-llama/Llama-3.1-405B"),
        ("hf://Qwen/Qwen3-32B", "Qwen/Qwen3-32B"),
        ("RedHatAI/Llama-3.3-70B-Instruct-quantized.w4a16", "Llama-3.3-70B-Instruct"),
    ],
)
def test_names_of_models_as_files_have_them(said: str, meant: str, tmp_path: Path) -> None:
    path = tmp_path / "serve.sh"
    path.write_text(f"vllm serve '{said}' -tp 8\n", encoding="utf-8")
    assert read(path, CATALOG, on=("8xh200-sxm",)).model == meant


@pytest.mark.parametrize("said", ["Llama 70B", "Qwen 9000B", "model 8B", "/model"])
def test_a_name_of_several_models_or_of_none_is_not_guessed(said: str, tmp_path: Path) -> None:
    path = tmp_path / "serve.sh"
    path.write_text(f"vllm serve '{said}' -tp 8\n", encoding="utf-8")
    with pytest.raises(InputError, match="model"):
        read(path, CATALOG, on=("8xh200-sxm",))


@pytest.mark.parametrize(
    "text",
    [
        "f() {\n f\n}\nf\n",
        "f() { g; }\ng() { f; }\nf\n",
        "docker run " * 500,
        "docker run -e A=1",
        'eval "' * 99,
        'ssh a "vllm serve ' * 40,
        "set -- " + "x " * 2000 + "\nshift 1999\n",
    ],
)
def test_scripts_that_start_themselves_end(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.sh"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        read(path, CATALOG, on=("8xh200-sxm",))
