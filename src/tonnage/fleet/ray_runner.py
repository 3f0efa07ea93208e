"""Pieces of a launch on Ray: on the processors of this machine, or of a cluster. Needs the extra `ray`.

A piece whose worker dies is played again by another; how often is counted and said. Workers play only with the code
that asks: one with other code, or other versions of Python or numpy, is refused.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from tonnage.errors import InputError, Problem, TonnageError
from tonnage.fleet.pieces import Piece, PieceWork, Ran, code, played

ObjectRef = object
"""Ray's handle of an answer to come; Ray is imported only when it is asked for."""

LOCAL = "local"
"""Address that starts Ray on this machine, for as long as the run takes."""

TRIES = 5
"""How often a piece is played at most when its workers die: one that takes its worker with it will not do better."""

AHEAD = 3
"""Pieces in hand for each processor, so that none waits for the next."""

CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where this is 0 in its environment when it is imported, Ray listens on the loopback address only."""

TOKEN = "a cluster with token authentication needs RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
"""What is said where no cluster answers: one that asks for a token that was not sent looks the same."""

STORE = 256 * 1024**2
"""Memory that Ray started here shares between its processes [byte]; a piece takes some megabytes."""


def alike(work: PieceWork, asked: str) -> Piece:
    """Play a piece with the code that was asked for, and with no other."""
    if code() != asked:
        message = "a worker has other code, or another version of Python or numpy, than the process that asks"
        raise InputError(Problem(message, path="ray"), hint="install the same tonnage on every machine of the cluster")
    return played(work)


class RayRunner:
    """Plays pieces on Ray while it is open: `with RayRunner() as runner`."""

    def __init__(self, address: str = LOCAL) -> None:
        self._address, self._pieces, self._again = address, 0, 0

    def __enter__(self) -> Self:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if self._address == LOCAL:
            os.environ[CLUSTERS] = "0"
        try:
            import ray
        except ModuleNotFoundError:
            raise InputError(Problem("ray is not installed"), hint="pip install 'tonnage[ray]' brings it") from None
        here = {"include_dashboard": False, "object_store_memory": STORE, "_node_ip_address": "127.0.0.1"}
        try:
            more = here if self._address == LOCAL else {}
            ray.init(self._address, log_to_driver=False, logging_level="ERROR", **more)
        except (OSError, RuntimeError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            hint = None if self._address == LOCAL else TOKEN
            raise InputError(Problem(f"no Ray at {self._address}: {first}", path="ray"), hint=hint) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        import ray

        ray.shutdown()

    def ran(self) -> Ran:
        """How it went so far."""
        return Ran(f"Ray, {self._address}", self._pieces, self._again)

    def run(self, works: Iterable[PieceWork]) -> Iterator[Piece]:
        """The piece of each work, in order."""
        import ray

        most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        left, hands, done = enumerate(works), dict[ObjectRef, _InHand](), dict[int, Piece]()
        for index in itertools.count():
            while index not in done:
                for at, work in itertools.islice(left, max(0, most - len(hands) - len(done))):
                    hands[_begun(work)] = _InHand(at, work)
                if not hands:
                    return
                ready, _ = ray.wait(list(hands))
                for ref in ready:
                    self._take(ref, hands, done)
            self._pieces += 1
            yield done.pop(index)

    def _take(self, ref: ObjectRef, hands: dict[ObjectRef, _InHand], done: dict[int, Piece]) -> None:
        """A piece that has ended: its answer, or the same begun again where its worker died."""
        import ray
        from ray import exceptions

        one = hands.pop(ref)
        try:
            done[one.index] = ray.get(ref)
        except exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, TonnageError) else error) from None
        except (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.ObjectLostError,
            exceptions.OutOfMemoryError,
        ) as error:
            if one.tries >= TRIES:
                text = f"a piece of the draws took {TRIES} workers with it: {type(error).__name__}"
                raise InputError(Problem(text, path="ray"), hint="the workers' memory may not suffice") from None
            self._again += 1
            hands[_begun(one.work)] = replace(one, tries=one.tries + 1)


@dataclass(frozen=True)
class _InHand:
    """A piece that a worker plays. index: its place among all; tries: how often it was begun."""

    index: int
    work: PieceWork
    tries: int = 1


def _begun(work: PieceWork) -> ObjectRef:
    """Give a piece to Ray. Retries are ours, so that they can be counted."""
    import ray

    begun: ObjectRef = ray.remote(max_retries=0, num_cpus=1)(alike).remote(work, code())
    return begun
