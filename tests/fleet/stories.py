"""Speeds written down for tests, and programmes from text."""

from __future__ import annotations

from tonnage.fleet.speeds import PlannedSpeed, impossible


class Written:
    """A planner whose speeds are given, per accelerator and chip: requests/s, tokens/s. What is not given cannot be."""

    def __init__(self, serve=None, train=None, rl=0.1, wide=1.5):
        self.serves, self.trains, self.rl, self.wide = serve or {}, train or {}, rl, wide

    def _speed(self, use, model, chip, size, rate):
        if not rate:
            return impossible(use, model, chip, size, f"{chip} cannot")
        return PlannedSpeed(use, model, chip, size, rate, rate / self.wide, rate * self.wide, "tp8", "interpolated")

    def serve(self, model, chip, most):
        rate = self.serves.get((model.name, chip), self.serves.get(chip, 0.0))
        return self._speed("serve", model.name, chip, 64, rate)

    def train(self, model, stage, chip, accelerators):
        rate = self.trains.get(chip, 0.0) * (self.rl if stage.kind == "rl" else 1.0)
        return self._speed(stage.kind, model.name, chip, accelerators, rate)


SWAP = """
name: swap
start: 2025-01-06
horizon: 1 year
place: US
fleet:
  - {lot: own, chip: h100-sxm, count: 100, tenure: owned, price: $2/h}
  - {lot: more, chip: h200, count: 200, price: $3/h, from: 2025-06-02}
models:
  a: {model: llama-3.1-8b, serve: {output_tokens: 8.64B/day, osl: 1k, isl: 1k}}
  b: {model: llama-3.1-70b, after: a, serve: {takes_over: 100 %, within: 1 week}}
"""
"""One service takes over from another; nothing is trained."""

SWAP_SPEEDS = {("a", "h100-sxm"): 1.5, ("a", "h200-sxm"): 1.5, ("b", "h100-sxm"): 0.5, ("b", "h200-sxm"): 0.6}

STORY = """
name: story
start: 2025-02-28
horizon: 18 months
place: CN
fleet:
  - {lot: own, chip: h800, count: 6000, tenure: owned}
  - {lot: cloud, chip: h20, count: 12000 to 20000, from: 2025-03-01, over: 26 weeks, price: $0.9/h to $1.6/h}
  - {lot: ascend, chip: ascend-910c, count: 8000 to 20000, from: 2025-05-01 to 2025-07-01, price: $0.5/h to $2/h}
models:
  r1:
    model: deepseek-r1
    serve: {input_tokens: 608B/day, output_tokens: 168B/day, isl: 4400, osl: 1200, peak: 1.2, tpot: 50ms,
            growth: 5 %/month to 15 %/month}
  r2:
    model: {like: deepseek-v3, layers: 80, experts: 384}
    after: r1
    train:
      stages: [{pretrain: 20T to 30T tokens}, {rl: {rollout_tokens: 0.3T to 1T}}]
      try: [ascend, own]
    serve: {like: r1, takes_over: 60 % to 90 %, within: 4 weeks}
    good_enough: {rounds: 1 to 3, each: 3 to 8 weeks}
"""

SPEEDS = {
    "serve": {"h800-sxm": 0.8, "h20-96gb": 0.3, "ascend-910c": 0.6},
    "train": {"h800-sxm": 900.0, "h20-96gb": 150.0, "ascend-910c": 600.0},
}
