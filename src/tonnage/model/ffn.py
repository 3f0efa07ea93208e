"""Feed-forward layers: dense (plain or gated) and mixtures of experts."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.model.operators import Operator, Part
from tonnage.model.site import Site


@dataclass(frozen=True)
class Dense:
    """A dense feed-forward layer: up, activation, down; gated: SwiGLU and kin (Shazeer, arXiv 2002.05202).

    bias: elements of the biases of (up or gate and up, down); input: width of the input if it is not the residual's;
    output: likewise.
    """

    size: int
    gated: bool = True
    bias: tuple[int, int] = (0, 0)

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""
        return "dense"

    @property
    def routed(self) -> bool:
        """Whether it has routed experts."""
        return False

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """gate_up, activation, down."""
        return self.named(site, "", "ffn", keep_input=True)

    def named(self, site: Site, prefix: str, part: Part, *, keep_input: bool) -> tuple[Operator, ...]:
        """The three operators under a prefix; keep_input: nobody else saves the layer's input."""
        wide = self.size * (2 if self.gated else 1)
        kept = site.hidden if keep_input else 0
        return (
            site.gemm(
                prefix + "gate_up" if self.gated else prefix + "up",
                part,
                wide,
                site.hidden,
                "column",
                bias=self.bias[0],
                saved=kept,
                role="up",
            ),
            site.pointwise(prefix + "activation", part, wide + self.size, "column", saved=wide, role="activation"),
            site.gemm(
                prefix + "down",
                part,
                site.hidden,
                self.size,
                "row",
                bias=self.bias[1],
                saved=self.size,
                role="down",
            ),
        )


@dataclass(frozen=True)
class Moe:
    """A mixture of experts: router, top-k routed experts, shared experts that every token visits.

    size: width of one expert; gated, bias: as in `Dense`, per expert; router_bias: elements beside the router's
    matrix; shared: the shared experts as one dense layer; shared_gate: the shared output is scaled by a learned gate;
    latent: width that routed experts work in, if not the residual's (Nemotron 3, Kimi K3); latent_norm: elements of a
    norm inside; routed: whether a learned router exists (V4's first layers route by a hash of the token).
    """

    experts: int
    top_k: int
    size: int
    gated: bool = True
    bias: tuple[int, int] = (0, 0)
    router_bias: int = 0
    router_outputs: int = 0
    shared: Dense | None = None
    shared_gate: bool = False
    latent: int = 0
    latent_norm: int = 0
    extra_weight: int = 0

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""
        return "moe"

    @property
    def routed(self) -> bool:
        """Whether it has routed experts."""
        return True

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """Router, dispatch, the two grouped GEMMs, combine, shared experts."""
        router = site.gemm(
            "router",
            "router",
            self.router_outputs or self.experts,
            site.hidden,
            "none",
            bias=self.router_bias + self.extra_weight,
            saved=site.hidden,
            role="router",
        )
        return (router, *self._into_latent(site), *self._routed(site), *self._shared(site))

    def _routed(self, site: Site) -> tuple[Operator, ...]:
        """Permutation, the two grouped GEMMs with the activation between, combination."""
        inner = self.latent or site.hidden
        wide = self.size * (2 if self.gated else 1)
        return (
            site.pointwise("dispatch", "experts", 2 * inner, "experts", top_k=self.top_k),
            site.grouped(
                "expert_gate_up" if self.gated else "expert_up",
                "up",
                wide,
                inner,
                self.experts,
                self.top_k,
                bias=self.bias[0],
                saved=inner,
            ),
            site.pointwise(
                "expert_activation",
                "experts",
                wide + self.size,
                "experts",
                top_k=self.top_k,
                saved=wide,
                role="activation",
            ),
            site.grouped(
                "expert_down",
                "down",
                inner,
                self.size,
                self.experts,
                self.top_k,
                bias=self.bias[1],
                saved=self.size,
            ),
            site.pointwise("combine", "experts", inner * (1 + 1 / self.top_k), "experts", top_k=self.top_k),
            *self._out_of_latent(site),
        )

    def _into_latent(self, site: Site) -> tuple[Operator, ...]:
        """From the residual's width to the one that experts work in, where they differ."""
        if not self.latent:
            return ()
        return (site.gemm("latent_down", "router", self.latent, site.hidden, "none"),)

    def _out_of_latent(self, site: Site) -> tuple[Operator, ...]:
        """Back to the residual's width, with the norm before it."""
        if not self.latent:
            return ()
        kept, norm = self.latent, self.latent_norm
        return (site.gemm("latent_up", "router", site.hidden, self.latent, "none", bias=norm, saved=kept),)

    def _shared(self, site: Site) -> tuple[Operator, ...]:
        """The shared experts as one dense layer, and their gate."""
        if self.shared is None:
            return ()
        made = self.shared.named(site, "shared_", "shared_experts", keep_input=False)
        if self.shared_gate:
            gate = site.pointwise(
                "shared_gate",
                "shared_experts",
                3 * site.hidden,
                weight=site.hidden,
                saved=site.hidden,
                flop=2 * site.hidden,
            )
            return (*made, gate)
        return made


@dataclass(frozen=True)
class Parallel:
    """Feed-forward layers side by side, their outputs added (Gemma 4: a dense one and experts)."""

    parts: tuple[Dense | Moe, ...]

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""
        return "+".join(part.kind for part in self.parts)

    @property
    def routed(self) -> bool:
        """Whether it has routed experts."""
        return any(part.routed for part in self.parts)

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """The operators of all parts."""
        return tuple(operator for part in self.parts for operator in part.operators(site))
