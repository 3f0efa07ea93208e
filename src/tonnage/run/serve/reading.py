"""The front's YAML file -> `Front`, with every problem at its place. Keys come from the environment or from files."""

from __future__ import annotations

import hashlib
import ipaddress
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tonnage import files
from tonnage.errors import InputError, Problem, nearest
from tonnage.run.serve.config import (
    Bounds,
    CanaryPlan,
    Front,
    Offered,
    Patience,
    ReplicaSource,
    ServedRelease,
    Slo,
    Tenant,
    Watch,
)
from tonnage.run.serve.measured import TIMES
from tonnage.run.serve.places import FilePlace, finish

SHORTEST_KEY, LONGEST_KEY = 16, 512
"""Characters of a key: shorter ones are guessed, longer ones are files read by mistake."""

KINDS = {"url": "address", "vllm": "vllm", "transformers": "transformers", "command": "command"}
"""Keys of which a replica has one, and what each means."""

OWN_FLAGS = ("--host", "--port", "--served-model-name", "--api-key")
"""Flags of an engine that the front gives: where it listens, on this machine only, and under which name."""

HOUR, DAY = 3600.0, 86400.0
GB = 1e9


def read_front(path: str | Path, environment: Mapping[str, str]) -> Front:
    """A front from its file. Raises InputError with every problem. Relative paths are taken from the file's folder."""
    document = files.read_yaml(path)
    problems: list[Problem] = []
    root = FilePlace(document, problems, document.value if isinstance(document.value, dict) else {})
    if not isinstance(document.value, dict):
        root.fail(None, "expected a mapping with the key models")
    reader = _FrontReader(Path(path).parent, environment)
    front = reader.front(root)
    root.done()
    finish(problems)
    return front


class _FrontReader:
    """Holds what is around the file: its folder and the environment."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.variables: set[str] = set()

    def front(self, root: FilePlace) -> Front:
        models = tuple(self.offered(name, place) for name, place in root.named("models"))
        if not models:
            root.fail("models", "expected at least one model")
        tenants = tuple(self.tenant(name, place, [m.name for m in models]) for name, place in root.named("tenants"))
        self.each_key_once(root, tenants)
        host, port = self.listen(root, bool(tenants))
        admin_place = root.below("admin")
        admin = self.keys(admin_place) if root.has("admin") else ()
        admin_place.done()
        if {*admin} & {key for one in tenants for key in one.keys}:
            root.fail("admin", "the key of the administrator is a tenant's too")
        logs, state = (self.folder / root.text(key) if root.has(key) else None for key in ("logs", "state"))
        return Front(
            models,
            host,
            port,
            tenants,
            admin,
            self.bounds(root.below("bounds")),
            logs,
            state,
            frozenset(self.variables),
        )

    def listen(self, root: FilePlace, has_tenants: bool) -> tuple[str, int]:
        text = root.text("listen", "127.0.0.1:8080")
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            root.fail("listen", f'expected HOST:PORT such as 127.0.0.1:8080, got "{text[:60]}"')
            return "127.0.0.1", 8080
        host = host.removeprefix("[").removesuffix("]")
        if not is_loopback(host) and not has_tenants:
            root.fail("listen", f"{host[:60]} is reached from other machines: tenants with keys are needed")
        return host, int(port)

    def offered(self, name: str, place: FilePlace) -> Offered:
        releases = tuple(self.release(key, below) for key, below in place.named("releases"))
        if not releases:
            place.fail("releases", "expected at least one release")
        elif sum(one.weight for one in releases) <= 0:
            place.fail("releases", "no release has a weight above 0")
        slo = self.slo(place.below("slo"))
        canary = self.canary(place.below("canary"), releases, slo) if place.has("canary") else None
        found = Offered(
            name,
            releases,
            slo,
            canary,
            place.count("at_once", 64, 1, 10_000),
            place.count("queue", 100, 0, 10_000),
            place.number("wait", "time", 30.0, 0.01, HOUR),
            place.count("retries", 2, 0, 10),
            self.patience(place.below("patience")),
            self.watch(place.below("watch")),
        )
        place.done()
        return found

    def release(self, name: str, place: FilePlace) -> ServedRelease:
        sources = tuple(self.source(below) for below in place.items("replicas"))
        if not sources:
            place.fail("replicas", "expected at least one replica")
        weight = place.number("weight", "number", 100.0, 0.0, 1e6)
        think = place.text("think", "no", ("no", "tags", "open"))
        found = ServedRelease(name, weight, sources, place.text("model", name), think, self.predicted(place))
        place.done()
        return found

    def predicted(self, place: FilePlace) -> tuple[tuple[str, float], ...]:
        """Times that someone expects of a release."""
        if not place.has("predicted"):
            return ()
        below = place.below("predicted")
        found = tuple((key, below.number(key, "time", 0.0, 1e-6, DAY)) for key in TIMES if below.has(key))
        below.done()
        return found

    def source(self, place: FilePlace) -> ReplicaSource:
        kinds = [key for key in KINDS if place.has(key)]
        args = place.words("args")
        plan = self.folder / place.text("plan") if place.has("plan") else None
        if plan is not None:
            args = (*self.planned(place), *args)
        where = place.document.place(place.path)
        if taken := [word for word in args if word.partition("=")[0] in OWN_FLAGS]:
            place.fail("args", f"{taken[0][:40]} is given by the front itself")
        within = place.number("start_within", "time", 600.0, 1.0, DAY)
        fallback = place.text("fallback", "none", ("none", "transformers")) == "transformers"
        health = place.text("health") if place.has("health") else None
        key = self.one_secret(place) if place.has("key_env") or place.has("key_file") else None
        if kinds not in (["url"], ["vllm"], ["vllm", "command"], ["transformers"], ["command"]):
            if kinds != ["transformers", "command"]:
                place.fail(
                    None, f"a replica has one of {', '.join(KINDS)}; command may stand beside vllm, transformers"
                )
            kinds = kinds or ["url"]
        kind = KINDS[kinds[0]]
        target = self.address(place) if kind == "address" else place.text(kinds[0]) if kind != "command" else ""
        command = self.command(place) if "command" in kinds else ()
        place.done()
        return ReplicaSource(kind, target, command, args, key, fallback, within, health, where, plan)

    def command(self, place: FilePlace) -> tuple[str, ...]:
        value = place.get("command")
        try:
            return tuple(shlex.split(value)) if isinstance(value, str) else place.words("command")
        except ValueError as error:
            place.fail("command", f"is not a command line: {error}")
            return ()

    def address(self, place: FilePlace) -> str:
        text = place.text("url", "")
        try:
            parts = urlsplit(text)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good or parts.query or parts.fragment or parts.username:
            place.fail("url", f'expected an address such as http://127.0.0.1:8000, got "{text[:60]}"')
        return text.rstrip("/").removesuffix("/v1")

    def planned(self, place: FilePlace) -> tuple[str, ...]:
        """Flags of `vllm serve` from a saved answer of `tonnage serve`, whose launch line they are."""
        path = self.folder / place.text("plan")
        try:
            words = _launch_words(files.read_json(path).value)
        except InputError as error:
            place.fail("plan", "; ".join(problem.message for problem in error.problems))
            return ()
        if not words:
            place.fail("plan", "holds no launch line of vLLM for one server (a saved answer of: tonnage serve)")
        return words

    def slo(self, place: FilePlace) -> Slo:
        times = {}
        for key in ("ttft", "tpot", "latency"):
            times[key] = place.number(key, "time", 0.0, 1e-4, DAY) if place.has(key) else None
        errors = place.number("errors", "share", 0.01, 0.0, 1.0)
        found = Slo(
            errors, place.number("late", "share", 0.05, 0.0, 1.0), times["ttft"], times["tpot"], times["latency"]
        )
        place.done()
        return found

    def canary(self, place: FilePlace, releases: tuple[ServedRelease, ...], slo: Slo) -> CanaryPlan:
        to = place.text("to")
        names = [one.name for one in releases]
        if to and to not in names:
            place.fail("to", f'"{to[:60]}" is no release of this model', nearest(to, names))
        if not any(one.weight > 0 for one in releases if one.name != to):
            place.fail("to", "there is no other release with a weight above 0 to return to")
        steps = self.steps(place)
        hold = place.number("hold", "time", 600.0, 0.1, 30 * DAY)
        start = place.text("start", "asked", ("asked", "at once"))
        found = CanaryPlan(to, steps, hold, place.count("answers", 50), start == "at once")
        if slo.ttft is None or slo.latency is None:
            place.fail(None, "a canary needs ttft and latency in slo: an engine that hangs has no errors")
        place.done()
        return found

    def steps(self, place: FilePlace) -> tuple[float, ...]:
        value = place.get("steps")
        if value is None:
            return CanaryPlan.steps
        items = value if isinstance(value, list) else [value]
        each = FilePlace(
            place.document, place.problems, {str(i): item for i, item in enumerate(items)}, (*place.path, "steps")
        )
        found = tuple(each.number(key, "share", 1.0, 1e-6, 1.0) for key in each.value)
        if not found or list(found) != sorted(set(found)):
            place.fail("steps", "expected growing shares such as [5 %, 25 %, 100 %]")
        return found

    def patience(self, place: FilePlace) -> Patience:
        usual = Patience()
        found = Patience(
            **{
                key: place.number(key, "time", getattr(usual, key), 0.01, DAY)
                for key in ("first", "between", "whole", "drain")
            }
        )
        place.done()
        return found

    def watch(self, place: FilePlace) -> Watch:
        every, within = (
            place.number(key, "time", usual, 0.05, HOUR) for key, usual in (("every", 1.0), ("within", 5.0))
        )
        found = Watch(every, within, place.count("failures", 3, 1, 1000))
        place.done()
        return found

    def bounds(self, place: FilePlace) -> Bounds:
        usual = Bounds()
        sizes = {
            key: int(place.number(key, "memory", getattr(usual, key), 1000.0, 64 * GB))
            for key in ("body", "answer", "bodies")
        }
        times = {
            key: place.number(key, "time", getattr(usual, key), 0.05, HOUR)
            for key in ("head", "upload", "send", "idle")
        }
        found = Bounds(
            sizes["body"],
            sizes["answer"],
            sizes["bodies"],
            place.count("connections", usual.connections, 1, 100_000),
            **times,
        )
        place.done()
        return found

    # ------------------------------------------------------------ keys

    def tenant(self, name: str, place: FilePlace, models: list[str]) -> Tenant:
        allowed = place.words("models")
        for one in allowed:
            if one not in models:
                place.fail("models", f'"{one[:60]}" is no model of this file', nearest(one, models))
        limits = [
            int(place.number(key, kind, 1.0, 1.0, 1e15)) if place.has(key) else None
            for key, kind in (
                ("requests_per_minute", "count"),
                ("tokens_per_minute", "tokens"),
                ("tokens_per_day", "tokens"),
            )
        ]
        found = Tenant(name, self.keys(place), allowed, *limits)
        place.done()
        return found

    def keys(self, place: FilePlace) -> tuple[bytes, ...]:
        """SHA-256 of each key of an owner; a key file may hold several, one a line, so that one can follow another."""
        secrets = self.secrets(place)
        for secret in secrets:
            if not SHORTEST_KEY <= len(secret) <= LONGEST_KEY or not secret.isascii() or not secret.isprintable():
                place.fail(None, f"a key has {SHORTEST_KEY} to {LONGEST_KEY} printable ASCII characters")
        return tuple(digest_key(secret) for secret in secrets)

    def one_secret(self, place: FilePlace) -> str | None:
        found = self.secrets(place)
        return found[0] if found else None

    def secrets(self, place: FilePlace) -> list[str]:
        if place.has("key"):
            place.fail("key", "a key does not stand in this file: give key_env or key_file")
            return []
        if place.has("key_env") == place.has("key_file"):
            place.fail(None, "expected key_env (a variable of the environment) or key_file")
            return []
        if place.has("key_env"):
            name = place.text("key_env")
            self.variables.add(name)
            text = self.environment.get(name, "")
            if not text.strip():
                place.fail("key_env", f'the variable "{name[:60]}" is not set')
            return [text.strip()] if text.strip() else []
        try:
            lines = files.read_text(self.folder / place.text("key_file"), 100_000).split("\n")
        except InputError as error:
            place.fail("key_file", "; ".join(str(problem) for problem in error.problems))
            return []
        found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not found:
            place.fail("key_file", "holds no key")
        return found

    def each_key_once(self, root: FilePlace, tenants: tuple[Tenant, ...]) -> None:
        owners: dict[bytes, str] = {}
        for one in tenants:
            for key in one.keys:
                if owners.setdefault(key, one.name) != one.name:
                    root.fail("tenants", f"{owners[key]} and {one.name} have the same key")


def digest_key(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def is_loopback(host: str) -> bool:
    """Whether an address is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _launch_words(body: object) -> tuple[str, ...]:
    """Flags of `vllm serve` in the one launch of a saved answer, of one server; none where there is no such launch."""
    rows = body.get("launch") if isinstance(body, dict) else None
    launches = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if len(launches) != 1 or launches[0].get("engine") not in ("vllm", "vllm-ascend") or launches[0].get("nodes") != 1:
        return ()
    flags = launches[0].get("flags")
    return tuple(shlex.split(flags)) if isinstance(flags, str) else ()
