"""What each method cost: tokens by kind, seconds of devices and, where the run has prices, money.

    usage of each role, device seconds of each model --by tokens--> cost of a role
    tokens of a method's answers, as a share of its roles' tokens  --> cost of the method

A model's device seconds (replicas' busy seconds times the devices of each) are shared out over its
roles by the tokens that these read and generated, each counting the same. Where a model has one
role they are exact; where it both generates and scores, generating costs more than its share says,
since a token takes longer to write than to read. Half of the draws cost half of what all cost.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from results.columns import READ, Key, parted, scorer_role

MILLION, HOUR = 1e6, 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Device seconds and money; None: not known."""

    cpu_seconds: float | None = None
    gpu_seconds: float | None = None
    money: float | None = None
    """In the currency of the prices."""

    def __add__(self, other: Self) -> Self:
        return type(self)(
            cpu_seconds=_sum(self.cpu_seconds, other.cpu_seconds),
            gpu_seconds=_sum(self.gpu_seconds, other.gpu_seconds),
            # Without the price of a part that of the whole isn't known.
            money=None if self.money is None or other.money is None else self.money + other.money,
        )

    def __mul__(self, share: float) -> Self:
        return type(self)(
            cpu_seconds=None if self.cpu_seconds is None else self.cpu_seconds * share,
            gpu_seconds=None if self.gpu_seconds is None else self.gpu_seconds * share,
            money=None if self.money is None else self.money * share,
        )


NOTHING = Spent(money=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """A model of a run: `Hosted(cpu_seconds=311.0, price={"device_hour": 1.8})`."""

    cpu_seconds: float | None = None
    """While its replicas held calls, times the devices of each; over all starts of the run."""
    gpu_seconds: float | None = None
    price: Mapping[str, float] | None = None
    """`read` and `generated`, per million tokens, or `device_hour`."""


def hosted(about: Mapping[str, Any]) -> dict[str, Hosted]:
    """The models of a run, as its manifest knows them; no seconds where it has none."""
    prices = about.get("config", {}).get("prices") or {}
    starts = [one["device_seconds"] for one in about.get("timing", []) if "device_seconds" in one]
    names = dict.fromkeys([*prices, *(name for start in starts for name in start)])
    return {name: _hosted(name, starts, prices.get(name)) for name in names}


def by_role(
    usage: Mapping[str, Mapping[str, Any]], models: Mapping[str, Hosted]
) -> dict[str, Spent]:
    """Of each role, over all items. A jury's tokens are its jurors' in equal parts."""
    work: dict[str, float] = {}
    for use in usage.values():
        for name in (jury := use["model"].split("+")):
            work[name] = work.get(name, 0.0) + _tokens(use) / len(jury)
    found = {}
    for role, use in usage.items():
        jury = use["model"].split("+")
        total = NOTHING
        for name in jury:
            total = total + _role(use, models.get(name, Hosted()), work[name]) * (1 / len(jury))
        found[role] = total
    return found


def expense(
    key: Key,
    costs: Mapping[str, float | None],
    usage: Mapping[str, Mapping[str, Any]],
    spent: Mapping[str, Spent],
    judges: Collection[str],
) -> dict[str, float | None]:
    """What a method's answers cost, as fields of a `results.summary.Row`.

    costs: `tokens` (scorer's included), `scored` and `prompt_tokens` of the method's column, None
        where they are not known. usage, spent: by role.
    """
    tokens, scored = costs["tokens"], costs["scored"] or 0.0
    if tokens is None:
        return {}
    method, pool, k = parted(key)
    generators, scorer = _roles(method, pool, k, usage)
    generated = tokens - scored
    total = _share(generators, generated + (costs["prompt_tokens"] or 0.0), usage, spent)
    if scored:
        total = total + _share([scorer], scored, usage, spent)
    # Of given texts nothing was generated.
    read = (not k and method in READ) or (generators == [scorer] and scorer in usage)
    scored += generated if read else 0.0
    is_judged = scorer.partition(":")[2].removesuffix(pool) in judges
    return {
        "generated": 0.0 if read else generated,
        "scored": 0.0 if is_judged else scored,
        "judged": scored if is_judged else 0.0,
        "cpu_seconds": total.cpu_seconds,
        "gpu_seconds": total.gpu_seconds,
        "money": total.money,
    }


def _roles(method: str, pool: str, k: int, usage: Mapping[str, Any]) -> tuple[list[str], str]:
    """Roles that made or read the method's candidates, and the scorer's."""
    scorer = scorer_role(method, pool)
    if not k and method in READ:
        return [*READ[method]], scorer
    own = f"generator:{'sample' if k else method}"
    # Of a blend, a role for each member.
    found = [role for role in usage if role == own + pool or role.startswith(f"{own}:")]
    return found or [scorer], scorer


def _share(
    roles: Collection[str],
    tokens: float,
    usage: Mapping[str, Mapping[str, Any]],
    spent: Mapping[str, Spent],
) -> Spent:
    """What so many of the roles' tokens cost."""
    known = [role for role in roles if role in usage]
    whole = sum(_tokens(usage[role]) for role in known)
    if not known:
        return Spent()
    total = NOTHING
    for role in known:
        total = total + spent[role]
    return total * (tokens / whole) if whole else total


def _role(use: Mapping[str, Any], model: Hosted, work: float) -> Spent:
    """What one model spent on one role."""
    share = _tokens(use) / work if work else 0.0
    seconds = Spent(cpu_seconds=model.cpu_seconds, gpu_seconds=model.gpu_seconds) * share
    return Spent(
        cpu_seconds=seconds.cpu_seconds,
        gpu_seconds=seconds.gpu_seconds,
        money=_money(use, model.price, seconds),
    )


def _money(
    use: Mapping[str, Any], price: Mapping[str, float] | None, seconds: Spent
) -> float | None:
    if not use["model"]:
        return 0.0  # A scorer that asks nobody.
    if price is None:
        return None
    if (hour := price.get("device_hour")) is not None:
        # Of a model on GPUs these are what is paid for.
        devices = seconds.gpu_seconds or seconds.cpu_seconds
        return None if devices is None else devices / HOUR * hour
    read, generated = price.get("read") or 0.0, price.get("generated") or 0.0
    return float(read * use["prompt_tokens"] + generated * use["tokens"]) / MILLION


def _hosted(
    name: str, starts: Collection[Mapping[str, Any]], price: Mapping[str, Any] | None
) -> Hosted:
    own = [start[name] for start in starts if name in start]
    return Hosted(
        # None rather than none: a model on GPUs has no figure for CPUs.
        cpu_seconds=sum(start["cpu"] for start in own) or None,
        gpu_seconds=sum(start["gpu"] for start in own) or None,
        price=None if price is None else {k: v for k, v in price.items() if v is not None},
    )


def _tokens(use: Mapping[str, Any]) -> float:
    return float(use["prompt_tokens"] + use["tokens"])


def _sum(a: float | None, b: float | None) -> float | None:
    """None counts as nothing beside a number: a model without seconds spent none."""
    return b if a is None else a if b is None else a + b
