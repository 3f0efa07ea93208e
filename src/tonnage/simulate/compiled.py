"""The loop as it runs: compiled where `numba` is installed and the work is worth it, otherwise as Python."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import types
from pathlib import Path

from tonnage.simulate import cache, core, flow, heaps, special, state
from tonnage.simulate.special import Loop
from tonnage.simulate.state import Row

ORDER = (
    heaps.merge,
    heaps.put_end,
    heaps.take_end,
    heaps.floors,
    cache.unlink,
    cache.enter,
    cache.drop,
    cache.put_out,
    cache.evict,
    cache.forget,
    cache.lay_down,
    cache.matched,
    cache.pin,
    cache.release,
    cache.keep,
    core.lasting,
    core.until,
    core.grown,
    core.within,
    core.leave,
    core.join,
    core.come,
    core.finish,
    core.computed,
    core.complete,
    core.remember,
    core.found_again,
    core.put_back,
    core.latest,
    core.make_room,
    core.fits,
    core.bring_back,
    core.admit,
    core.extra,
    core.shortest,
    core.take_on,
    core.load,
    core.mixed_step,
    core.decode_steps,
    core.plan_step,
    core.cut,
    flow.price,
    flow.after,
    flow.choose,
    flow.too_long,
    flow.refuse,
    flow.next_change,
    flow.deliver,
    flow.send_away,
    flow.done_by,
    flow.fail,
    flow.light,
    flow.scale,
    flow.change,
    flow.coming,
    flow.run,
)
"""All functions of the loop, each after those that it calls."""


def installed() -> bool:
    """Whether `numba` is there."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def version() -> str:
    """Of the loop's code, all of it: what is kept on disk of one function holds those that it calls, whose files are
    not looked at when it is read.
    """
    files = (Path(module.__file__ or "") for module in (state, heaps, cache, core, flow))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


@functools.cache
def compiled() -> Loop:
    """The loop, compiled by `numba` when it is first called, and kept on disk for the next time where that can be."""
    import numba

    names: dict[str, object] = {**vars(heaps), **vars(cache), **vars(core), **vars(flow)}
    for function in ORDER:
        made = types.FunctionType(function.__code__, names, function.__name__)
        made.__module__, made.__qualname__ = function.__module__, f"{function.__name__}_{version()}"
        try:
            names[function.__name__] = numba.njit(made, cache=True, nogil=True)
        except RuntimeError:  # no folder that can be written to
            names[function.__name__] = numba.njit(made, nogil=True)
    found: Loop = names["run"]  # type: ignore[assignment]
    return found


def plain(x: Row, worth: bool = False) -> Loop:
    """The loop as Python; written anew for the rules of a row where that is worth it, and sources are at hand."""
    if worth:
        with contextlib.suppress(OSError):
            return special.loop_for(x, ORDER)
    return flow.run
