"""What a tenant may use: requests and tokens a minute (buckets that refill), tokens a day. The clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from tonnage.run.serve import refusals
from tonnage.run.serve.config import Tenant

MINUTE, DAY = 60.0, 86400.0


@dataclass
class Bucket:
    """`limit` a minute, refilled evenly; may go below nothing when more was used than was asked for."""

    limit: int
    level: float
    at: float

    def refill(self, now: float) -> None:
        """Add what came since the last look."""
        self.level = min(self.limit, self.level + max(0.0, now - self.at) * self.limit / MINUTE)
        self.at = now

    def wait(self, amount: float) -> float:
        """Seconds until the amount is there; 0 when it is."""
        return max(0.0, (amount - self.level) * MINUTE / self.limit)


@dataclass
class TenantUse:
    """What one tenant has used and has been promised."""

    tenant: Tenant
    requests: Bucket | None = None
    tokens: Bucket | None = None
    day: int = 0
    used: int = 0
    promised: int = 0

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-*` as OpenAI's API says them."""
        found = {}
        for name, bucket in (("requests", self.requests), ("tokens", self.tokens)):
            if bucket:
                found[f"x-ratelimit-limit-{name}"] = str(bucket.limit)
                found[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.level)))
                found[f"x-ratelimit-reset-{name}"] = f"{bucket.wait(bucket.limit):.3f}s"
        return found


@dataclass
class Grant:
    """Tokens that were promised to a request, until it is known what it used."""

    use: TenantUse
    tokens: int
    settled: bool = False


@dataclass
class Limits:
    """Use of every tenant."""

    uses: dict[str, TenantUse] = field(default_factory=dict)

    def of(self, tenant: Tenant, now: float) -> TenantUse:
        """The use of a tenant, with full buckets at first."""
        if tenant.name not in self.uses:
            buckets = [Bucket(n, n, now) if n else None for n in (tenant.requests_per_minute, tenant.tokens_per_minute)]
            self.uses[tenant.name] = TenantUse(tenant, buckets[0], buckets[1])
        return self.uses[tenant.name]

    def grant(self, tenant: Tenant, model: str, tokens: int, now: float, day_time: float) -> Grant:
        """Promise a request its tokens. Raises ApiError (429) when it is over a limit; nothing is taken then.

        now: a clock that only grows [s]; day_time: seconds since 1970 UTC, whose day the quota belongs to.
        """
        use = self.of(tenant, now)
        if use.day != int(day_time // DAY):
            use.day, use.used = int(day_time // DAY), 0
        quota = tenant.tokens_per_day
        if quota is not None and use.used + use.promised + tokens > quota:
            raise refusals.no_quota(DAY - day_time % DAY)
        for what, bucket, amount in (("requests", use.requests, 1), ("tokens", use.tokens, tokens)):
            if bucket is None:
                continue
            bucket.refill(now)
            if amount > bucket.limit:
                raise refusals.rate_limited(what, model, tenant.name, bucket.limit, None)
            if wait := bucket.wait(amount):
                raise refusals.rate_limited(what, model, tenant.name, bucket.limit, wait)
        if use.requests:
            use.requests.level -= 1
        if use.tokens:
            use.tokens.level -= tokens
        use.promised += tokens
        return Grant(use, tokens)

    def settle(self, grant: Grant, used: int) -> None:
        """Replace what was promised by what was used."""
        if grant.settled:
            return
        grant.settled = True
        grant.use.promised -= grant.tokens
        grant.use.used += used
        if grant.use.tokens:
            grant.use.tokens.level = min(grant.use.tokens.limit, grant.use.tokens.level + grant.tokens - used)
