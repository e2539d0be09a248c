"""The summary: one row per method, metric and k, each number with its interval and what it cost.

    records (one pass) -> Table: means, paired differences; Tallies: counts --> summary.json

Items that failed are in no mean and in every count. Differences are over the items that both have.
Means and differences are clustered by `Record.group`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from results.arms import Arms
from results.bounds import Bound, Bounds, open_figures
from results.categories import Categories
from results.columns import Key
from results.costs import Member
from results.decodings import Decodings
from results.decodings import doubts as spread_doubts
from results.differences import Difference
from results.directories import Where
from results.forecast import with_actual
from results.judges import Judge, Judged, doubts, judges_of
from results.lengths import Lengths
from results.manifest import Manifest
from results.marginals import marginals
from results.outcomes import Outcomes
from results.overlap import Overlap
from results.parts import read_records
from results.pitfalls import pitfalls
from results.pools import ABOUT_TEXTS, Named
from results.published import published
from results.rankings import rank_all
from results.references import crossings
from results.schema import OUTCOMES, WITHOUT, Record
from results.spending import Spent, by_role, expense, hosted
from results.summary import Row, Summary
from results.table import BASELINES, Mean, Table
from results.tallies import Tallies, checked


def summarize_run(run_dir: Where, manifest: Manifest) -> Summary:
    """Summarise a run directory from its records. Raises ResultsError."""
    return summarize_answers(
        read_records(run_dir),
        limited=manifest.limited,
        judges=judges_of(manifest.identity),
        members=manifest.members,
        references=manifest.identity.get("pipeline", {}).get("reference"),
        about=manifest.about,
    )


def summarize_answers(
    records: Iterable[Record],
    *,
    limited: bool = False,
    judges: Mapping[str, Judge] | None = None,
    members: Mapping[str, Member] | None = None,
    references: Mapping[str, float] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Summary:
    """Summarise a run in one pass over its records. No answered item: no rows, but all counts.

    judges: the run's, as `judges_of` reads them from its identity. members: the models that
    generate, as the manifest has them; their costs are unknown without. references: lines to
    compare with, in per cent. about: the manifest's, for the number of items, seconds, prices,
    the forecast and what the run warned of before its first item.

    Raises ResultsError for records of several tasks, and for an item that comes twice.
    """
    judges, about = judges or {}, about or {}
    seen = _Seen(judges)
    for record in checked(records):
        seen.add(record)
    table, tallies = seen.table, seen.tallies
    spent = by_role(tallies.usage, hosted(about))
    asked = about.get("num_items")
    rows = tuple(_rows(table, tallies, spent, judges, lambda key: seen.bounds.of(key, asked)))
    lines = {name: level / 100 for name, level in (references or {}).items()}
    found = Summary(
        rows=rows,
        outcomes={outcome: tallies.outcomes[outcome] for outcome in OUTCOMES},
        usage=tallies.usage,
        items={"ok": 0, **tallies.items},
        limited=limited,
        coverage={name: tallies.scored[name] / num for name, num in tallies.asked.items()},
        categories=seen.categories.rows(),
        judges=tuple(row for one in seen.judged for row in one.rows()),
        marginals=marginals(table),
        arms=seen.arms.rows(members or {}),
        rankings=tuple(row for one in seen.ranked for row in one.rows()),
        published=published(rows, judges),
        decodings=seen.decodings.rows(table, seen.categories.tables),
        crossings=crossings(rows, lines),
        forecast=with_actual(about.get("forecast", ()), tallies.usage, about),
        members=seen.outcomes.rows(),
        lengths=seen.lengths.rows(),
        overlaps=seen.overlap.rows(),
    )
    noted = about.get("warnings", ())
    return replace(found, warnings=[*noted, *_warnings(seen, found, judges)])


class _Seen:
    """All that takes in every record."""

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        self.table, self.tallies, self.bounds = Table(), Tallies(), Bounds()
        self.decodings, self.categories, self.arms = Decodings(), Categories(), Arms()
        self.outcomes, self.lengths, self.overlap = Outcomes(), Lengths(), Overlap()
        self.judged = [Judged(name, judge) for name, judge in judges.items()]
        self.ranked = rank_all(judges)
        self._each: list[Any] = [
            *(self.table, self.tallies, self.bounds, self.decodings, self.categories, self.arms),
            *(self.outcomes, self.lengths, self.overlap, *self.judged, *self.ranked),
        ]

    def add(self, record: Record) -> None:
        for each in self._each:
            each.add(record)


def _warnings(seen: _Seen, found: Summary, judges: Mapping[str, Judge]) -> list[str]:
    ranked = [
        (one, [row for row in found.rankings if row.judge == one.name]) for one in seen.ranked
    ]
    return [
        *pitfalls(seen.tallies, _baselines(found.rows), judges),
        *open_figures(_headline(found.rows)),
        *doubts(found.judges, judges),
        *spread_doubts(found.decodings),
        *(doubt for one, rows in ranked for doubt in one.doubts(rows)),
    ]


def _baselines(rows: Sequence[Row]) -> list[Row]:
    """One draw's worth of each member under the headline metric: greedy, else the mean single draw;
    of given choices the likeliest.
    """
    worth: dict[str, dict[str, Row]] = {}
    for row in _headline(rows):
        method = Named.read(row.method).method
        if row.k == 0 or method == "first":
            worth.setdefault(row.member, {}).setdefault(method, row)
    found = (of.get("greedy", of.get("first", of.get("G"))) for of in worth.values())
    return [row for row in found if row is not None]


def _headline(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.metric == rows[0].metric]


def _rows(
    table: Table,
    tallies: Tallies,
    spent: Mapping[str, Spent],
    judges: Collection[str],
    bound_of: Callable[[Key], Bound | None],
) -> Iterator[Row]:
    versus = [table.differences(method, k) for method, k in BASELINES]
    for key, mean in table.means().items():
        if WITHOUT in key[0] or key[1] in ABOUT_TEXTS:
            continue
        row = _row(tallies, key, mean, [each.get(key) for each in versus], bound_of(key))
        costs = {
            "tokens": row.tokens,
            "prompt_tokens": row.prompt_tokens,
            "scored": _known(mean.scored),
        }
        found: dict[str, Any] = expense(key, costs, tallies.usage, spent, judges)
        yield replace(row, **found)


def _row(
    tallies: Tallies,
    key: Key,
    mean: Mean,
    versus: Sequence[Difference | None],
    bound: Bound | None,
) -> Row:
    method, metric, k = key
    named = Named.read(method)
    seen = tallies.by_decoding.get("sample" if k else "greedy", Counter())
    seen = tallies.by_pool.get(named.pool, seen)
    repeats = tallies.repeats_by_pool.get(named.pool, tallies.repeats)
    num_seen = max(seen.total(), 1)
    greedy, first, likeliest = versus
    return Row(
        task=tallies.task,
        member=named.member or "+".join(sorted(tallies.members)),
        method=method,
        metric=metric,
        k=k,
        value=mean.value,
        low=mean.interval.low,
        high=mean.interval.high,
        stderr=mean.interval.stderr,
        items=mean.items,
        **_bounded(bound),
        tokens=_known(mean.tokens),
        prompt_tokens=_known(mean.prompt_tokens),
        **_named("versus_greedy", greedy),
        **_named("versus_first", first),
        **_named("versus_likeliest", likeliest),
        mc_error=mean.mc_error,
        truncated=seen["truncated"] / num_seen,
        no_answer=seen["no_answer"] / num_seen,
        duplicates=repeats.share if k else None,
        decoding=named.decoding,
    )


def _bounded(bound: Bound | None) -> dict[str, Any]:
    if bound is None:
        return {}
    return {
        "missing": bound.missing,
        "if_lowest": bound.lowest,
        "if_highest": bound.highest,
    }


def _named(name: str, found: Difference | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        name: found.value,
        f"{name}_low": found.low,
        f"{name}_high": found.high,
        f"{name}_p": found.p,
    }


def _known(total: float) -> float | None:
    return total if isfinite(total) else None
