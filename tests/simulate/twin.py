"""The simulator's slow twin: every sequence, token and block of its own, one step after the other, nothing counted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tonnage.simulate.prepare import arrivals, decode_steps, own_prefill
from tonnage.simulate.service import PICO, Simulated
from tonnage.simulate.workload import Workload

FOREVER = 1 << 62


@dataclass
class Asked:
    """One request."""

    index: int
    arrival: int
    isl: int
    left: int
    key: tuple[int, int]
    pieces: list[int]
    follows: int
    think: int
    computed: int = 0
    total: int = 0
    decodes: bool = False
    gained: int = 0
    blocks: int = 0
    held: list[int] = field(default_factory=list)
    now: int = 0
    start: int = -1
    first: int = -1
    finish: int = -1
    again: int = 0
    hit: int = 0
    where: int = -1
    moved: bool = False
    refused: bool = False
    own: list[int] = field(default_factory=list)
    kept: int = 0


@dataclass
class Replica:
    """One replica; `free` is what nobody uses, `users` who uses a piece, `order` pieces nobody uses, oldest first."""

    role: str
    running: list[Asked] = field(default_factory=list)
    waiting: list[Asked] = field(default_factory=list)
    users: dict[int, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    next: int = FOREVER
    works: bool = False
    rides: bool = False
    step: int = 0
    steps: int = 0
    flying: int = 0
    queue: list[int] = field(default_factory=list)
    names: dict[int, tuple[int, int]] = field(default_factory=dict)
    tiers: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    wait: int = 0


class Twin:
    """A whole service."""

    def __init__(self, load: Workload, service: Simulated, seed: int = 0) -> None:
        self.limits, self.given, self.times = service.limits, service.deployment, service.times[0]
        steps = decode_steps(load, self.limits, seed)
        come = arrivals(load, self.given)
        slack = np.rint(1e6 * self.given.due * (1 + load.priority) - own_prefill(load, service) / 1e6)
        self.unit = load.unit if self.limits.prefix and load.pieces.size else 0
        self.gain = round(self.limits.accepted * 1024)
        self.requests = []
        for i in range(load.size):
            weight = {"priority": int(load.priority[i]), "shortest": int(load.isl[i])}.get(self.given.order, 0)
            later = int(slack[i]) if self.given.order == "slo" else 0
            pieces = load.pieces[load.at[i] : load.at[i + 1]].tolist() if self.unit else []
            follows, think = int(load.follows[i]), round(float(load.think[i]) * PICO)
            made = Asked(i, int(come[i]), int(load.isl[i]), int(steps[i]), (weight, later), pieces, follows, think)
            self.requests.append(made)
        self.coming = [r for r in self.requests if r.arrival < FOREVER]
        self.later: list[tuple[int, int]] = []
        roles = ["prefill"] * self.given.prefill + ["decode" if self.given.prefill else "both"] * self.given.replicas
        self.replicas = [Replica(role, queue=list(range(self.limits.blocks))) for role in roles]
        self.turn = {False: 0, True: 0}
        tiers = (self.limits.host, self.limits.disk)
        self.rooms = [one.tokens // self.unit if self.unit else 0 for one in tiers]
        self.waits = [round(one.token * self.unit * PICO) for one in tiers]

    # blocks

    def need(self, tokens: int) -> int:
        return -(-tokens // self.limits.block)

    def used(self, replica: Replica) -> int:
        own = sum(r.blocks - len(r.held) * self.unit // self.limits.block for r in replica.running)
        shared = sum(1 for users in replica.users.values() if users > 0)
        return own + shared * (self.unit // self.limits.block)

    def evict(self, replica: Replica, more: int) -> None:
        each = self.unit // self.limits.block
        while replica.order and len(replica.order) * each + self.used(replica) + more > self.limits.blocks:
            piece = replica.order.pop(0)
            del replica.users[piece]
            for tier, room in zip(replica.tiers, self.rooms, strict=True):
                tier.append(piece)
                if len(tier) <= room:
                    break
                piece = tier.pop(0)

    def leave_tier(self, replica: Replica, piece: int) -> None:
        for tier in replica.tiers:
            if piece in tier:
                tier.remove(piece)

    def release(self, replica: Replica, one: Asked) -> None:
        for piece in reversed(one.held):
            replica.users[piece] -= 1
            if replica.users[piece] == 0:
                replica.order.append(piece)
        one.held, one.blocks = [], 0
        self.give(replica, one)
        replica.running.remove(one)

    # blocks by number, the longest free first, where prompts have no pieces in common

    def take(self, replica: Replica, one: Asked, count: int) -> None:
        for _ in range(count):
            block = replica.queue.pop(0)
            replica.names[block] = (one.index, len(one.own))
            one.own.append(block)

    def give(self, replica: Replica, one: Asked) -> None:
        replica.queue += reversed(one.own)
        one.own = []

    def still(self, replica: Replica, one: Asked) -> list[int]:
        """Blocks of whole computed ones that it had, and that nobody has taken since."""
        there = {name: block for block, name in replica.names.items() if block in replica.queue}
        found: list[int] = []
        while (one.index, len(found)) in there and len(found) < one.kept:
            found.append(there[one.index, len(found)])
        return found

    # tokens

    def context(self, one: Asked) -> int:
        return one.computed

    def decode_time(self, riders: list[Asked]) -> int:
        n = len(riders)
        return int(self.times.base[n]) + int(self.times.slope[n]) * sum(map(self.context, riders))

    def more(self, replica: Replica, riders: list[Asked]) -> int:
        prompts = [r for r in replica.running if not r.decodes]
        tokens = sum(r.now for r in prompts)
        looks = sum(r.now * (2 * r.computed + r.now) for r in prompts)
        beside = len(riders) * (1 + self.limits.drafts) // self.times.stages
        mix, crowd = self.times.mix, round(self.times.crowd * 1024)
        found = int(mix[beside + tokens]) + ((self.times.pairs * looks) >> 11) + self.times.sequence * len(prompts)
        if riders:
            return ((found - int(mix[beside])) * crowd) >> 10
        return (found * crowd) >> 10 if any(r.decodes for r in replica.running) else found

    def done(self, replica: Replica, one: Asked, time: int) -> None:
        tokens = one.computed
        self.release(replica, one)
        if self.unit:
            for piece in reversed(one.pieces[: tokens // self.unit]):
                if piece not in replica.users:
                    self.leave_tier(replica, piece)
                    replica.users[piece] = 0
                    replica.order.append(piece)
            self.evict(replica, 0)
        one.finish = max(time, one.first)
        replica.flying -= 1
        if one.follows >= 0:
            after = self.requests[one.follows]
            after.arrival = one.finish + after.think
            self.later.append((after.arrival, after.index))

    def end_step(self, replica: Replica, time: int) -> None:
        if not replica.works:
            return
        replica.steps += 1
        riders = [r for r in replica.running if r.decodes] if replica.rides else []
        before = (replica.step * self.gain) >> 10
        if riders:
            replica.step += 1
        gained = ((replica.step * self.gain) >> 10) - before
        for one in riders:
            one.computed += gained
            one.blocks = max(one.blocks, self.need(one.computed))
            if not self.unit:
                self.take(replica, one, one.blocks - len(one.own))
            one.left -= 1
        self.evict(replica, 0)
        for one in sorted((r for r in riders if r.left == 0), key=lambda r: r.index):
            self.done(replica, one, time)
        for one in [r for r in replica.running if not r.decodes]:
            one.computed += one.now
            one.now = 0
            if one.computed == one.total:
                self.prompt_done(replica, one, time)

    def prompt_done(self, replica: Replica, one: Asked, time: int) -> None:
        lag = self.lag(replica)
        if replica.role == "prefill":
            self.release(replica, one)
            replica.flying -= 1
            one.moved = True
            move = round(self.given.move * PICO) + round(self.given.move_token * PICO) * one.total
            self.later.append((time + lag + move, one.index))
            return
        if one.first < 0:
            one.first = time + lag
        else:
            one.left -= 1
        if one.left == 0:
            self.done(replica, one, time)
            return
        one.decodes = True
        replica.running.remove(one)
        replica.running.append(one)

    def lag(self, replica: Replica) -> int:
        return self.lags[id(replica)]

    lags: dict[int, int] = {}  # noqa: RUF012

    # steps

    def put_back(self, replica: Replica, one: Asked) -> None:
        one.kept = one.computed // self.limits.block if self.limits.prefix else 0
        self.release(replica, one)
        if one.decodes:
            one.total = one.computed + 1
        one.decodes, one.computed, one.now, one.moved = False, 0, 0, False
        one.again += 1
        replica.waiting.append(one)

    def growth(self, replica: Replica) -> int:
        more = (((replica.step + 1) * self.gain) >> 10) - ((replica.step * self.gain) >> 10)
        decode = [r for r in replica.running if r.decodes]
        return sum(self.need(r.computed + more) - self.need(r.computed) for r in decode)

    def make_room(self, replica: Replica) -> int:
        gone = 0
        while any(r.decodes for r in replica.running):
            if self.growth(replica) <= self.limits.blocks - self.used(replica):
                break
            self.put_back(replica, max(replica.running, key=self.order))
            gone += 1
        return gone

    def order(self, one: Asked) -> tuple[int, int, int]:
        return (one.key[0], self.came(one) + one.key[1], one.index)

    def came(self, one: Asked) -> int:
        return one.arrival // 10**6

    def begin_step(self, replica: Replica, time: int) -> None:
        mixed, limits = self.limits.mixed, self.limits
        budget, gone, more = limits.tokens, 0, 0
        replica.wait = 0
        if mixed and any(r.decodes for r in replica.running):
            gone = self.make_room(replica)
            more = self.growth(replica)
            budget -= sum(r.decodes for r in replica.running) * (1 + limits.drafts)
        cap = limits.prompt or limits.tokens
        for one in [r for r in replica.running if not r.decodes]:
            one.now = max(0, min(one.total - one.computed, budget, cap))
            budget -= one.now
        while gone == 0 and replica.waiting and budget > 0 and len(replica.running) < limits.sequences:
            one = min(replica.waiting, key=self.order)
            if not self.admit(replica, one, time, more):
                break
            one.now = min(one.total - one.computed, budget, cap)
            budget -= one.now
        tokens = sum(r.now for r in replica.running if not r.decodes)
        if tokens == 0 and not mixed:
            self.make_room(replica)
        decoders = [r for r in replica.running if r.decodes]
        riders = decoders if mixed or tokens == 0 else []
        replica.rides, replica.works = bool(riders), bool(tokens or riders)
        self.lags[id(replica)] = 0
        if tokens:
            extra = self.more(replica, riders)
            self.lags[id(replica)] = extra // self.times.stages * (self.times.stages - 1)
            length = (self.decode_time(riders) if riders else 0) + max(extra // self.times.stages, 1)
            length = max(length, replica.wait)
        else:
            length = self.decode_time(riders) if riders else FOREVER
        replica.next = time + length if replica.works else FOREVER

    def admit(self, replica: Replica, one: Asked, time: int, more: int) -> bool:
        each = self.unit // self.limits.block
        listed = one.pieces[: one.isl // self.unit] if self.unit else []
        fresh = sum(1 for piece in listed if replica.users.get(piece, 0) == 0)
        blocks = self.need(one.total) - len(listed) * each + fresh * each
        if self.used(replica) + more + blocks > self.limits.blocks:
            return False
        hit = 0
        while hit < len(listed) and self.has(replica, listed[hit]):
            hit += 1
        hit = min(hit, (one.total - 1) // self.unit) * self.unit if self.unit else 0
        replica.waiting.remove(one)
        if not one.moved:
            again = [piece for piece in listed[: hit // self.unit if self.unit else 0] if piece not in replica.users]
            replica.wait += sum(self.waits[0 if piece in replica.tiers[0] else 1] for piece in again)
        for piece in listed:
            self.leave_tier(replica, piece)
            if replica.users.get(piece) == 0:
                replica.order.remove(piece)
            replica.users[piece] = replica.users.get(piece, 0) + 1
        one.held, one.blocks = listed, self.need(one.total)
        replica.running.append(one)
        if not self.unit:
            again = self.still(replica, one)[: (one.total - 1) // self.limits.block]
            for block in again:
                replica.queue.remove(block)
            one.own = list(again)
            self.take(replica, one, one.blocks - len(again))
            hit = len(again) * self.limits.block
        self.evict(replica, more)
        if one.start < 0:
            one.start, one.hit = time, hit
        one.computed = one.total - 1 if one.moved else hit
        one.where = self.replicas.index(replica)
        return True

    # who goes where

    def has(self, replica: Replica, piece: int) -> bool:
        return piece in replica.users or any(piece in tier for tier in replica.tiers)

    def matched(self, replica: Replica, one: Asked) -> int:
        found = 0
        while found < len(one.pieces) and self.has(replica, one.pieces[found]):
            found += 1
        return found

    def choose(self, one: Asked) -> Replica:
        count, turn = len(self.replicas), self.turn[one.moved]
        order = [(turn + j) % count for j in range(count)]
        able = [j for j in order if (self.replicas[j].role == "decode") == one.moved]
        found = min(able, key=lambda j: self.replicas[j].flying) if self.given.routing == "least-loaded" else able[0]
        self.turn[one.moved] = (found + 1) % count
        return self.replicas[found]

    def deliver(self, one: Asked, time: int) -> None:
        if one.total == 0:
            one.total = one.isl
            longest = one.isl + ((one.left * self.gain) >> 10) + 1
            if self.need(longest) > self.limits.blocks:
                one.refused = True
                if one.follows >= 0:
                    after = self.requests[one.follows]
                    after.arrival = time + after.think
                    self.later.append((after.arrival, after.index))
                return
        replica = self.choose(one)
        replica.waiting.append(one)
        replica.flying += 1
        if replica.next == FOREVER:
            replica.next, replica.works = time, False

    def run(self) -> list[Asked]:
        coming = list(self.coming)
        while True:
            ends = min(self.replicas, key=lambda r: r.next)
            comes = coming[0].arrival if coming else FOREVER
            later = min(self.later, default=(FOREVER, -1))
            if comes <= ends.next and comes <= later[0] and comes < FOREVER:
                self.deliver(coming.pop(0), comes)
            elif later[0] <= ends.next and later[0] < FOREVER:
                self.later.remove(later)
                self.deliver(self.requests[later[1]], later[0])
            elif ends.next < FOREVER:
                time = ends.next
                self.end_step(ends, time)
                self.begin_step(ends, time)
            else:
                return self.requests
