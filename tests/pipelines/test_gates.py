"""Gate policies: what YAML may say, what a check is about, and the commands around them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from actors.types import ConfigError
from pipelines.cli import app
from pipelines.config import shipped, shipped_gates
from pipelines.gates import judge, load_policy
from results.errors import ResultsError
from results.pairs import read_pairs
from results.schema import Record
from results.store import Manifest, Store
from tests.results.conftest import failed, record


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., Path]:
    """Write records as a run under a name."""

    def make(name: str, records: list[Record], **about: Any) -> Path:
        manifest = Manifest(identity={"data": "data-1"}, about={"limited": False, **about})
        with Store.open(tmp_path / name, manifest) as store:
            store.commit("a", records)
        return tmp_path / name

    return make


@pytest.fixture
def policy(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "gate.yaml").write_text(text)
        return str(tmp_path / "gate.yaml")

    return write


def lilliput(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_the_shipped_policies_are_valid_and_no_configs() -> None:
    assert "no_worse" in shipped_gates()
    for name in shipped_gates():
        assert load_policy(name).checks
        assert not any(name in config for config in shipped())
    code, said = lilliput("ls", "gates")
    assert (code, "B may replace A" in said) == (0, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("checks: [{method: greedy, max_drp: 0.01}]", "did you mean 'max_drop'"),
        ("check: [{method: greedy, max_drop: 0.01}]", "did you mean 'checks'"),
        ("checks: [{method: greedy}]", "one of max_drop and min_improvement"),
        ("checks: [{method: g, max_drop: 0.1, min_improvement: 0.1}]", "one of max_drop and"),
        ("checks: [{method: greedy, max_drop: 0}]", "checks.0.max_drop: input should be greater"),
        ("checks: []", "checks: "),
        ("{confidence: 95, checks: [{method: greedy, max_drop: 0.1}]}", "confidence: input"),
        ("{correction: bonferroni, checks: [{method: g, max_drop: 0.1}]}", "'holm' or 'none'"),
        ("[", "gate.yaml: "),
    ],
)
def test_a_policy_with_a_mistake_is_refused_by_its_path(
    policy: Callable[[str], str], text: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")):
        load_policy(policy(text))


def test_a_policy_that_is_nowhere_is_refused_with_those_that_are_shipped() -> None:
    with pytest.raises(ConfigError, match=r"no gate policy 'no_wrse'.*no_worse"):
        load_policy("no_wrse")


def test_a_check_is_about_the_headline_metric_and_the_most_draws_unless_it_says_otherwise(
    runs: Callable[..., Path], policy: Callable[[str], str]
) -> None:
    run = runs("a", [record(number) for number in range(20)])
    checks = "[{method: majority, max_drop: 0.2}, {method: oracle, k: 2, max_drop: 0.2}]"
    gate = judge(load_policy(policy(f"checks: {checks}")), read_pairs(run, run))
    named = [(one.task, one.method, one.metric, one.k, one.threshold) for one in gate.checks]
    assert named == [
        ("toy", "majority", "accuracy", 8, -0.2),
        ("toy", "oracle", "accuracy", 2, -0.2),
    ]


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("{method: majorty, max_drop: 0.1}", "no method 'majorty' .*did you mean 'majority'"),
        ("{method: majority, k: 3, max_drop: 0.1}", "no k '3' .*there are: 1, 2, 4, 8"),
        ("{method: majority, metric: acc, max_drop: 0.1}", "no metric 'acc'"),
        ("{method: majority, task: gsm8k, max_drop: 0.1}", "no task 'gsm8k' .*there are: toy"),
    ],
)
def test_a_check_that_no_figure_answers_to_is_refused(
    runs: Callable[..., Path],
    policy: Callable[[str], str],
    check: str,
    told: str,
) -> None:
    run = runs("a", [record(number) for number in range(4)])
    with pytest.raises(ConfigError, match=told):
        judge(load_policy(policy(f"checks: [{check}]")), read_pairs(run, run))


def test_a_method_of_a_study_is_judged_in_each_of_its_pools(
    runs: Callable[..., Path], policy: Callable[[str], str]
) -> None:
    pools = ("small t=1,p=1,r=1", "big t=1,p=1,r=1")
    records = [
        replace(
            one,
            answers=tuple(
                replace(answer, method=f"{answer.method} of {pool}")
                for pool in pools
                for answer in one.answers
            ),
        )
        for one in map(record, range(40))
    ]
    run = runs("study", records)
    gate = judge(
        load_policy(policy("checks: [{method: majority, max_drop: 0.3}]")), read_pairs(run, run)
    )
    assert [check.method for check in gate.checks] == [f"majority of {pool}" for pool in pools]
    exact = load_policy(policy(f"checks: [{{method: 'majority of {pools[1]}', max_drop: 0.3}}]"))
    assert len(judge(exact, read_pairs(run, run)).checks) == 1


def test_the_pools_of_a_study_beside_a_run_without_pools_are_judged_too(
    runs: Callable[..., Path], tmp_path: Path, policy: Callable[[str], str]
) -> None:
    def of(pool: str, one: Record, **changes: Any) -> Record:
        return replace(
            one,
            answers=tuple(
                replace(answer, method=f"{answer.method}{pool}", **changes)
                for answer in one.answers
            ),
        )

    pool = " of small t=1,p=1,r=1"
    good = [record(number) for number in range(40)]
    for side, value in (("a", {}), ("b", {"value": 0.0})):
        runs(f"{side}/rank", good)
        runs(f"{side}/study", [of(pool, one, **value) for one in good])
    pairs = read_pairs(tmp_path / "a", tmp_path / "b")
    gate = judge(load_policy(policy("checks: [{method: majority, max_drop: 0.05}]")), pairs)
    assert [check.method for check in gate.checks] == ["majority", f"majority{pool}"]
    assert gate.verdict == "fail"


def test_a_check_passes_over_a_pair_only_where_neither_run_has_the_method(
    runs: Callable[..., Path], tmp_path: Path, policy: Callable[[str], str]
) -> None:
    records = [record(number) for number in range(40)]
    greedy = [replace(one, answers=one.answers[:1]) for one in records]
    for folder in ("old", "new"):
        runs(f"{folder}/drawn", records)
        runs(f"{folder}/greedy", greedy)
    named = load_policy(policy("checks: [{method: majority, max_drop: 0.3}]"))
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    assert len(judge(named, read_pairs(old, new)).checks) == 1
    both = load_policy(policy("checks: [{method: greedy, max_drop: 0.3}]"))
    assert len(judge(both, read_pairs(old, new)).checks) == 2
    # A method that B has lost is no reason to pass.
    runs("newer/drawn", greedy)
    runs("newer/greedy", greedy)
    with pytest.raises(ConfigError, match="no method 'majority' in both runs"):
        judge(named, read_pairs(old, str(tmp_path / "newer")))


def test_limited_runs_are_judged_only_when_the_policy_allows_it(
    runs: Callable[..., Path], policy: Callable[[str], str]
) -> None:
    run = runs("part", [record(number) for number in range(20)], limited=True)
    checks = "checks: [{method: majority, max_drop: 0.3}]"
    with pytest.raises(ConfigError, match=r"part, which is limited .*`limited: true`"):
        judge(load_policy(policy(checks)), read_pairs(run, run))
    gate = judge(load_policy(policy(f"{{limited: true, {checks}}}")), read_pairs(run, run))
    assert gate.verdict == "pass"


def test_items_that_neither_run_answered_count_as_missing(
    runs: Callable[..., Path],
    policy: Callable[[str], str],
) -> None:
    records = [*(record(number) for number in range(60)), failed(60)]
    a, b = runs("a", records, num_items=64), runs("b", records[:-1], num_items=64)
    checks = "checks: [{method: majority, max_drop: 0.2}]"
    (check,) = judge(load_policy(policy(checks)), read_pairs(a, b)).checks
    assert check.ruling.missing == 4
    text = policy(f"{{min_coverage: 0.95, {checks}}}")
    (check,) = judge(load_policy(text), read_pairs(a, b)).checks
    assert check.ruling.verdict == "inconclusive"
    assert "60 of 64 items" in check.ruling.reason


def test_a_gate_that_has_one_failing_check_fails_and_open_ones_leave_it_open(
    runs: Callable[..., Path], policy: Callable[[str], str]
) -> None:
    strong = runs("strong", [record(number, skill=0.8) for number in range(120)])
    weak = runs("weak", [record(number, skill=0.3, seed=1) for number in range(120)])
    again = runs("again", [record(number, skill=0.8, seed=2) for number in range(120)])
    checks = "checks: [{method: first, max_drop: 0.01}, {method: greedy, max_drop: 0.5}]"
    name = policy(checks)
    for a, b, code, verdict in (
        (strong, weak, 1, "fail"),
        (strong, again, 3, "inconclusive"),
        (weak, strong, 0, "pass"),
    ):
        exit_code, said = lilliput("compare", a, b, "--gate", name)
        assert (exit_code, f"gate: {verdict}" in said) == (code, True)
    _, said = lilliput("compare", strong, again, "--gate", name)
    assert "items would decide, not 120" in said
    assert "drop below 1" in said


def test_without_a_gate_the_exit_code_says_whether_b_is_worse(runs: Callable[..., Path]) -> None:
    strong = runs("strong", [record(number, skill=0.8) for number in range(80)])
    weak = runs("weak", [record(number, skill=0.3, seed=1) for number in range(80)])
    assert lilliput("compare", strong, weak)[0] == 1
    assert lilliput("compare", weak, strong)[0] == 0
    assert lilliput("compare", strong, weak, "--unpaired")[0] == 1


def test_json_has_the_flips_both_ways_by_item(runs: Callable[..., Path]) -> None:
    def answering(number: int, value: float) -> Record:
        found = record(number)
        return replace(found, answers=(replace(found.answers[0], value=value),))

    a = runs("a", [answering(number, float(number < 60)) for number in range(120)])
    b = runs("b", [answering(number, float(3 < number < 70)) for number in range(120)])
    code, said = lilliput("compare", a, b, "--json")
    told = json.loads(said)
    (comparison,) = told["comparisons"]
    (row,) = comparison["rows"]
    assert row["lost"] == [f"toy-{number}" for number in range(4)]
    assert row["gained"] == [f"toy-{number}" for number in range(60, 70)]
    assert (row["gains"], row["losses"], comparison["task"], row["verdict"]) == (
        *(10, 4),
        *("toy", "not told apart"),
    )
    assert row["items_needed"] > 120
    assert row["detectable"] < row["detectable_unpaired"]
    assert (told["gate"], told["exit_code"], code) == (None, 0, 0)


def test_folders_of_runs_are_compared_task_by_task_and_adjusted_together(
    runs: Callable[..., Path], tmp_path: Path, policy: Callable[[str], str]
) -> None:
    for folder, skill in (("old", 0.4), ("new", 0.55)):
        for task in ("toy", "other"):
            records = [record(number, skill=skill) for number in range(60)]
            runs(f"{folder}/{task}", [replace(one, task=task) for one in records])
    old, new = tmp_path / "old", tmp_path / "new"
    _, said = lilliput("compare", old, new, "--json")
    found = {one["task"]: one["rows"] for one in json.loads(said)["comparisons"]}
    assert found.keys() == {"toy", "other"}
    (single,) = json.loads(lilliput("compare", old / "toy", new / "toy", "--json")[1])[
        "comparisons"
    ]
    alone, together = single["rows"], found["toy"]
    assert [row["p"] for row in together] == [row["p"] for row in alone]
    assert all(x["p_holm"] >= y["p_holm"] for x, y in zip(together, alone, strict=True))
    assert any(x["p_holm"] > y["p_holm"] for x, y in zip(together, alone, strict=True))
    gate = policy(
        "checks: [{method: first, min_improvement: 0}, {method: first, task: toy, max_drop: 0.1}]"
    )
    told = json.loads(lilliput("compare", old, new, "--gate", gate, "--json")[1])
    assert [check["task"] for check in told["gate"]["checks"]] == ["other", "toy", "toy"]
    runs("new/third", [record(0)])
    with pytest.raises(ResultsError, match="got third in one of them alone"):
        read_pairs(str(old), str(new))


def test_unpaired_runs_may_be_over_different_items(runs: Callable[..., Path]) -> None:
    a = runs("a", [record(number, skill=0.3) for number in range(60)])
    b = runs("b", [record(number, skill=0.7) for number in range(100, 200)])
    code, said = lilliput("compare", a, b, "--unpaired", "--json")
    (comparison,) = json.loads(said)["comparisons"]
    row = next(row for row in comparison["rows"] if row["method"] == "first")
    assert (row["items"], row["gains"], row["gained"]) == (60, None, [])
    assert row["low"] < row["difference"] < row["high"]
    assert row["verdict"] == "better"
    assert code == 0


def test_verify_takes_many_runs_and_says_which_one_is_wrong(
    runs: Callable[..., Path], tmp_path: Path
) -> None:
    from results.report import write_report

    for name in ("all/one", "all/two"):
        write_report(runs(name, [record(number, num_draws=2) for number in range(6)]))
    code, said = lilliput("verify", tmp_path / "all")
    assert code == 0
    assert said.count("verified:") == 2
    path = tmp_path / "all" / "two" / "summary.json"
    path.write_text(path.read_text().replace('"requests": 6', '"requests": 7'))
    code, said = lilliput("verify", tmp_path / "all" / "one", tmp_path / "all" / "two", "--json")
    one, two = json.loads(said)
    assert (code, one["ok"], two["ok"]) == (1, True, False)
    assert "usage.generator:greedy.requests" in two["mismatches"][0]["name"]
