"""Group relative policy optimisation (Shao et al., arXiv 2402.03300, section 4.1) on verifiable rewards.

A step draws questions, lets the model complete each several times, and raises the probability of the completions that
did better than their group. The loss is that of TRL's GRPO trainer with one update for each rollout and no KL term:

    L = - sum over tokens of A_i exp(log p - log p.detach()) / (completion tokens of the step)
    A_i = (r_i - mean of the group) / (standard deviation of the group + 1e-4)

A group whose completions all fare alike has A = 0 and is left out of the forward and backward passes: the gradient is
the same, and on tasks that are mostly solved or mostly failed most of the work is saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from tonnage.run.train import data
from tonnage.run.train.network import cast, resharded
from tonnage.run.train.plan import RunPlan
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.tasks import SumTask, TaskSource
from tonnage.run.train.words import ANSWER, BOS, EOS, PAD, TOKENS, decode, padded

if TYPE_CHECKING:
    import torch

SOFTENED = 1e-4
"""Added to the standard deviation of a group, as TRL does."""

REDRAWN = 8
"""Tokens between two looks at which rows are done; those are taken out of the batch."""


@dataclass(frozen=True)
class Rollout:
    """Completions of one process: prompts and completions as tokens, rewards, and the group of each row.

    total: completion tokens of all processes; rows: completions of all; data: checksum of all questions.
    """

    prompts: list[list[int]]
    said: list[list[int]]
    rewards: np.ndarray
    group: int
    total: float
    rows: float
    data: int


@dataclass(frozen=True)
class GrpoFigures:
    """What a step of GRPO showed, over all processes; `kept`: share of groups with an advantage."""

    loss: float
    tokens: float
    reward: float
    length: float
    kept: float


def rolled_out(
    model: torch.nn.Module, tasks: TaskSource, plan: RunPlan, ranks: Ranks, stage: int, step: int, salt: int
) -> Rollout:
    """Completions of a step's questions. Each process takes every n-th question with its whole group; the noise that
    samples them is drawn for all, so that a completion does not depend on how many processes there are.
    """
    spec = plan.stages[stage]
    asked = data.questions(tasks, plan, stage, step, salt)
    seed = int(data.generator(plan.seed, stage, step, salt + 1_000_000).integers(2**62))
    own = [index for index in range(len(asked)) if index % ranks.size == ranks.rank]
    rows = [row for index in own for row in range(index * spec.group, (index + 1) * spec.group)]
    noise = gumbel(seed, len(asked) * spec.group, spec.tokens)[rows]
    prompts = [data.prompt(asked[row // spec.group]) for row in rows]
    said = generated(model, prompts, noise, plan.precision, ranks)
    rewards = np.array(
        [tasks.score(asked[row // spec.group], decode(one)) for row, one in zip(rows, said, strict=True)]
    )
    total = ranks.total(float(sum(map(len, said))))[0]
    drawn = crc32(" ".join(task.question for task in asked).encode())
    return Rollout(prompts, said, rewards, spec.group, total, float(len(asked) * spec.group), drawn)


def gumbel(seed: int, rows: int, tokens: int) -> torch.Tensor:
    """Noise with which the greatest of logits + noise is a draw from their softmax (Gumbel 1954)."""
    import torch

    from tonnage.run.train.words import VOCABULARY

    stream = torch.Generator().manual_seed(seed)
    uniform = torch.rand((rows, tokens, VOCABULARY), generator=stream)
    return -torch.log(-torch.log(uniform.clamp(1e-10, 1 - 1e-7)))


def generated(
    model: Any, prompts: list[list[int]], noise: torch.Tensor | None, precision: str, ranks: Ranks, most: int = 0
) -> list[list[int]]:
    """Completions with a key-value cache, by the noise or, without, greedy. They end with EOS or at the noise's end.

    Rows that are done leave the batch every few tokens. All processes go on until the last is done: each layer's
    weights are gathered from all.
    """
    import torch

    ids = torch.tensor(padded(prompts, PAD, left=True), device=ranks.place)
    mask = (ids != PAD).long()
    alive = torch.arange(len(prompts))
    said: list[list[int]] = [[] for _ in prompts]
    done = [False] * len(prompts)
    cache: Any = None
    model.eval()
    with torch.no_grad(), cast(precision, ranks):
        for at in range(most if noise is None else noise.shape[1]):
            places = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            out = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            logits = out.logits[:, -1].float().cpu()
            logits[:, [PAD, BOS, *range(len(TOKENS), logits.shape[1])]] = -torch.inf
            chosen = (logits if noise is None else logits + noise[alive, at]).argmax(1)
            for row, token in zip(alive.tolist(), chosen.tolist(), strict=True):
                if not done[row]:
                    said[row].append(token)
                    done[row] = token == EOS
            if not ranks.any(not all(done)):
                break
            ids = chosen[:, None].to(ranks.place)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
            if at % REDRAWN == REDRAWN - 1:
                keep = [place for place, row in enumerate(alive.tolist()) if not done[row]] or [0]
                if len(keep) < len(alive):
                    chosen_rows = torch.tensor(keep)
                    alive, ids, mask = alive[chosen_rows], ids[chosen_rows], mask[chosen_rows]
                    cache.batch_select_indices(chosen_rows.to(ranks.place))
    model.train()
    resharded(model)
    return said


def advantages(rewards: np.ndarray, group: int) -> np.ndarray:
    """How much better each completion did than its group, in standard deviations of it; 0 where all fared alike."""
    table = rewards.reshape(-1, group)
    spread = table.std(1, ddof=1, keepdims=True)
    relative = (table - table.mean(1, keepdims=True)) / (spread + SOFTENED)
    return np.where(spread > 0, relative, 0.0).reshape(-1)


def learned(model: Any, rollout: Rollout, plan: RunPlan, ranks: Ranks) -> GrpoFigures:
    """The gradient of a rollout, left in the model, from the groups that teach something."""
    gains = advantages(rollout.rewards, rollout.group)
    kept = [row for row in range(len(gains)) if gains[row] != 0]
    whole = ranks.total(float(len(kept)), float(rollout.rewards.sum()), float(len(gains)))
    loss = 0.0
    if whole[0]:
        rows = kept or [0]
        loss = policy_loss(model, rollout, rows, gains[rows], plan.precision, ranks)
    return GrpoFigures(
        loss=ranks.total(loss)[0],
        tokens=rollout.total,
        reward=whole[1] / whole[2],
        length=rollout.total / rollout.rows,
        kept=whole[0] / whole[2],
    )


def policy_loss(
    model: Any, rollout: Rollout, rows: list[int], gains: np.ndarray, precision: str, ranks: Ranks
) -> float:
    """Loss of some rows of this process, its gradient in the model (times the processes, over which FSDP averages)."""
    import torch

    batch = data.sequences_of([(rollout.prompts[row], rollout.said[row]) for row in rows])
    ids, labels = (torch.from_numpy(part).to(ranks.place) for part in (batch.ids, batch.labels))
    with cast(precision, ranks):
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    targets = labels[:, 1:]
    chosen = -torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=data.IGNORED, reduction="none"
    ).view_as(targets)
    weight = torch.from_numpy(gains).to(logits)[:, None] * (targets != data.IGNORED)
    loss = -(weight * torch.exp(chosen - chosen.detach())).sum() / rollout.total
    (loss * ranks.size).backward()
    return float(loss.detach())


def accuracy(
    model: torch.nn.Module, tasks: TaskSource, plan: RunPlan, ranks: Ranks, asked: list[SumTask], tokens: int
) -> dict[str, float]:
    """Right answers on questions never trained on, sampled and greedy, and the mean length of a completion [tokens]."""
    own = asked[ranks.rank :: ranks.size]
    prompts = [data.prompt(task) for task in own]
    noise = gumbel(plan.seed, len(asked), tokens)[ranks.rank :: ranks.size]
    found = []
    for drawn in (noise, None):
        said = generated(model, prompts, drawn, plan.precision, ranks, tokens)
        right = sum(tasks.score(task, decode(one)) for task, one in zip(own, said, strict=True))
        reasoned = sum(one.count(ANSWER) > 0 for one in said)
        found.append(ranks.total(float(right), float(sum(map(len, said))), float(reasoned), float(len(own))))
    sampled, greedy = found
    return {
        "n": sampled[3],
        "sampled": sampled[0] / sampled[3],
        "greedy": greedy[0] / greedy[3],
        "length": sampled[1] / sampled[3],
        "reasoned": sampled[2] / sampled[3],
    }
