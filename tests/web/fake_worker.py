"""A worker of the tests: answers at once, late, never, or not at all, by the first word it is asked."""

import json
import os
import sys
import time
from pathlib import Path

REPLY = {"schema": "tonnage/1", "inputs": {}, "sources": [], "version": "0", "catalog": None, "seed": 0}


def body(argv: list[str]) -> dict[str, object]:
    said = {"sentence": f"answer to {' '.join(argv)} by {os.getpid()}", "feasible": True, "rows": [], "tables": []}
    said |= {"hints": [], "csv": ""}
    return {"code": 0, "reply": REPLY | {"command": argv[0]}, "answer": said, "charts": [], "errors": []}


def put(said: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


for line in sys.stdin:
    asked = json.loads(line)
    argv = asked["argv"]
    with Path(os.environ["ASKED"]).open("a", encoding="utf-8") as file:
        file.write(" ".join(argv) + "\n")
    if argv[0] == "die":
        os._exit(9)
    if argv[0] in ("launch", "sleep"):
        put({"id": asked["id"], "progress": {"done": 1, "of": 2, "what": "half"}})
        time.sleep(float(os.environ.get("HEAVY", "0.2")) if argv[0] == "launch" else float(argv[1]))
    if argv[0] == "noise":
        sys.stdout.write("not json\n")
        put({"id": -1, **body(["other"])})
    put({"id": asked["id"], **body(argv)})
