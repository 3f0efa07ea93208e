"""Numbers of a configuration that must go together: what the reference implementations divide, reshape and count by.

Sources: transformers 5.23, `modeling_deepseek_v3` (experts are viewed as groups, of which some are kept), attention
modules (heads in groups of one key-value head, rotary halves), `modeling_qwen3_next` (value heads in groups of one key
head), `configuration_bamba` (inner width of Mamba), `configuration_utils.layer_type_validation` (one kind a layer),
`modeling_rope_utils` (one factor a frequency); DeepSeek-V4's released `model.py` (output groups).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tonnage.model.config import ConfigReader

LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
HEADS = ("num_attention_heads", "n_head")
EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")
CHOSEN = (
    "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts", "moe_topk", "moe_top_k",
    "moe_k",
)  # fmt: skip
GROUPS = ("n_group", "num_expert_group")
DRAFTS = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")
"""Names of one number each, in the order in which they are asked."""

LISTS = (
    "layer_types", "mlp_layer_types", "indexer_types", "compress_ratios", "attn_type_list", "layers_block_type",
    "moe_layer_freq", "hybrid_layer_pattern", "num_attention_heads_per_layer",
)  # fmt: skip
"""Lists of one entry a layer, perhaps with those of multi-token prediction after them."""


def whole(large: int, small: int) -> bool:
    """Whether one number is a multiple of the other."""
    return large % small == 0


def within(small: int, large: int) -> bool:
    """Whether one number is not above the other."""
    return small <= large


@dataclass(frozen=True)
class Relation:
    """Two numbers, each the first that is given of some names, and whether they go together; said at the first one.

    unless: keys in whose presence the relation means nothing.
    """

    of: tuple[str, ...]
    to: tuple[str, ...]
    holds: Callable[[int, int], bool]
    text: str
    unless: tuple[str, ...] = ()


RELATIONS = (
    Relation(GROUPS, EXPERTS, lambda n, experts: whole(experts, n), "{to} experts cannot be split into {of} groups"),
    Relation(("topk_group",), GROUPS, within, "{of} groups are kept of the {to} that there are"),
    Relation(CHOSEN, EXPERTS, within, "{of} experts a token out of {to}"),
    Relation(
        ("num_key_value_heads",),
        HEADS,
        lambda kv, heads: whole(heads, kv),
        "{to} heads cannot be shared by {of} key-value heads",
        unless=("kv_lora_rank",),
    ),
    Relation(
        ("num_global_key_value_heads",),
        HEADS,
        lambda kv, heads: whole(heads, kv),
        "{to} heads cannot be shared by {of} key-value heads",
    ),
    Relation(("o_groups",), HEADS, lambda n, heads: whole(heads, n), "{to} heads cannot be split into {of} groups"),
    Relation(
        ("linear_num_key_heads",),
        ("linear_num_value_heads",),
        lambda keys, values: whole(values, keys),
        "{to} value heads cannot share {of} key heads",
    ),
    Relation(
        ("n_groups", "mamba_n_groups"),
        ("mamba_num_heads", "mamba_n_heads"),
        lambda n, heads: whole(heads, n),
        "{to} Mamba heads cannot be split into {of} groups",
    ),
    Relation(
        ("first_k_dense_replace", "num_dense_layers"),
        LAYERS,
        within,
        "{of} dense layers are more than the {to} that there are",
    ),
    Relation(("num_hash_layers",), LAYERS, within, "{of} layers are more than the {to} that there are"),
    Relation(
        ("num_kv_shared_layers",),
        LAYERS,
        lambda shared, depth: shared < depth,
        "{of} of {to} layers share a cache: one at least must have its own",
    ),
)
"""What two numbers must be to each other."""

EVEN = ("head_dim", "global_head_dim", "swa_head_dim", "qk_rope_head_dim", "rotary_dim")
"""Sizes whose halves are rotated by positions."""


def check(read: ConfigReader) -> None:
    """Notes every relation that does not hold; what is noted already at a key is left as it is."""
    for relation in RELATIONS:
        if any(read.has(key) for key in relation.unless):
            continue
        (name, of), (_, to) = number(read, relation.of), number(read, relation.to)
        if of is not None and to is not None and of > 0 and not relation.holds(of, to):
            note(read, name, relation.text.format(of=of, to=to))
    _reached(read)
    _rotated(read)
    _joined(read)
    _mamba(read)
    _listed(read)


def number(read: ConfigReader, names: tuple[str, ...]) -> tuple[str, int | None]:
    """The first of some names that is given, and its number; None where it is none."""
    for name in names:
        if read.has(name):
            value = read.config[name]
            return name, value if isinstance(value, int) and not isinstance(value, bool) else None
    return names[0], None


def note(read: ConfigReader, key: str, message: str) -> None:
    """A problem at a key, unless there is one."""
    path = f"{read.path}.{key}" if read.path else key
    if all(problem.path != path for problem in read.problems):
        read.wrong(key, message)


def _reached(read: ConfigReader) -> None:
    """A token chooses among the experts of the groups that are kept."""
    groups, kept = number(read, GROUPS)[1], number(read, ("topk_group",))[1]
    experts, (name, chosen) = number(read, EXPERTS)[1], number(read, CHOSEN)
    if not groups or not kept or not experts or not chosen or experts % groups or kept > groups:
        return
    if chosen > experts // groups * kept:
        note(read, name, f"{chosen} experts a token, but the {kept} groups kept have {experts // groups * kept}")


def _rotated(read: ConfigReader) -> None:
    """Rotary positions turn pairs."""
    for key in EVEN:
        size = number(read, (key,))[1]
        if size is not None and size % 2:
            note(read, key, f"{size} is odd: rotary positions turn pairs")


def _joined(read: ConfigReader) -> None:
    """Heads of latent attention: the part with positions and the part without."""
    whole_, nope, rope = (number(read, (f"qk_{name}head_dim",))[1] for name in ("", "nope_", "rope_"))
    if whole_ and nope and rope and whole_ != nope + rope:
        note(read, "qk_head_dim", f"{whole_} is not {nope} without positions and {rope} with them")


def _mamba(read: ConfigReader) -> None:
    """The inner width of Mamba layers is that of their heads."""
    names = ("mamba_expand", "hidden_size", "mamba_n_heads", "mamba_d_head")
    expand, hidden, heads, dim = (number(read, (name,))[1] for name in names)
    inner = number(read, ("mamba_d_ssm",))[1] or (expand and hidden and expand * hidden)
    if not inner or not heads:
        return
    if inner % heads or (dim and inner != heads * dim):
        said = f"{heads} heads" + (f" of {dim}" if dim else "")
        note(read, "mamba_n_heads", f"{said} do not make up the inner width of {inner}")


def _listed(read: ConfigReader) -> None:
    """Lists of one entry a layer are as long as there are layers, or have those of multi-token prediction too."""
    depth, more = number(read, LAYERS)[1], number(read, DRAFTS)[1] or 0
    for key in LISTS if depth else ():
        found = read.config.get(key)
        if isinstance(found, (list, tuple)) and len(found) not in (depth, (depth or 0) + more):
            note(read, key, f"has {len(found)} entries for {depth} layers")
