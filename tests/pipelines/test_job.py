"""What `prepare` looks up and refuses, and how a task is cut into shards."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from actors.config import StrictConfig
from actors.types import ConfigError, Item
from pipelines import base
from pipelines.config import load_all, override, shipped
from pipelines.job import Job, method_of, prepare, regrading
from pipelines.roles import bind

PLAIN: dict[str, Any] = {
    "name": "tiny",
    "task": {"name": "arithmetic", "num_items": 50},
    "pipeline": {"name": "rank", "n": 4},
    "models": {"small": {"engine": "fake"}},
    "roles": {"generator": "small"},
    "shard_size": 8,
}


def job(*overrides: str) -> Job:
    return prepare(override(PLAIN, overrides))


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        job(*overrides)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def shard_ids(*overrides: str) -> list[str]:
    return [shard.id for shard in job(*overrides).shards()]


@pytest.mark.parametrize("num_items", [1, 7, 8, 9, 50])
def test_shards_hold_every_item_exactly_once_and_in_order(num_items: int) -> None:
    made = job(f"task.num_items={num_items}")
    shards = list(made.shards())
    items = [item.id for shard in shards for item in shard.items]
    assert items == [item.id for item in made.task.items()]
    assert len(set(items)) == num_items
    assert len(shards) == made.num_shards
    assert all(len(shard.items) == 8 for shard in shards[:-1])
    assert len({shard.id for shard in shards}) == len(shards)


@pytest.mark.parametrize(
    ("num_items", "size"), [(1, 16), (4096, 16), (10_000, 40), (10_000_000, 1024)]
)
def test_shards_grow_with_the_task_from_16_to_1024_items(num_items: int, size: int) -> None:
    assert job(f"task.num_items={num_items}", "shard_size=null").shard_size == size


@pytest.mark.parametrize(
    "change",
    [
        "models.small.replicas=7",
        "models.small.cpus=0.5",
        "models.small.gpus=1",
        "models.small.memory_gib=2",
        "models.small.in_flight=3",
        "models.small.max_restarts=9",
        "models.small.stall_timeout=5",
        "models.small.start_timeout=5",
        "cluster.cpus=2",
        "output=elsewhere",
        "name=other",
        "max_failed=3",
    ],
)
def test_shard_ids_do_not_depend_on_where_and_how_fast(change: str) -> None:
    assert shard_ids(change) == shard_ids()


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "pipeline.n=5",
        "pipeline.sampling.temperature=0.5",
        "pipeline.rankers=[first]",
        "task.instruction=Say it",
        "task.seed=1",
        "task.num_items=51",
        "models.small.fake.texts=[a]",
        "models.small.template=none",
        "roles.scorers.logp=mean_logprob",
        "shard_size=9",
    ],
)
def test_shard_ids_change_with_what_decides_results(change: str) -> None:
    assert set(shard_ids(change)).isdisjoint(shard_ids())


@pytest.mark.parametrize("change", ["seed=0", "pipeline.greedy=true", "task.steps=2"])
def test_a_default_that_is_written_out_is_the_same_run(change: str) -> None:
    assert job(change).digest == job().digest


def test_the_identity_is_plain_data() -> None:
    identity = job("roles.scorers.logp=mean_logprob").identity
    assert json.loads(json.dumps(identity)) == identity


def test_a_judge_is_kept_with_the_text_of_its_prompt_which_makes_another_run() -> None:
    judge = "roles.scorers.s={kind: judge, model: small, judge: {judges_itself: true}}"
    made = job(judge)
    kept = made.identity["judges"]["s"]
    assert (kept["form"], kept["jurors"], kept["low"], kept["high"]) == ("scale", ["small"], 0, 5)
    assert len(kept["prompt"]) == 64
    other = job(judge, "roles.scorers.s.prompt=mt_bench")
    assert other.identity["judges"]["s"]["prompt"] != kept["prompt"]
    assert other.digest != made.digest
    assert "judges" not in job().identity


def test_the_only_model_is_no_judge_of_itself_but_members_judge_each_other() -> None:
    assert "would judge nothing but its own" in refusal(
        "roles.scorers.s={kind: judge, model: small}"
    )
    both = ("models.other={engine: fake}", "roles.generator={blend: [small, other]}")
    assert job(*both, "roles.scorers.s={kind: judge, models: [small, other]}").identity["judges"]


@pytest.mark.parametrize("name", [name for name in shipped() if not name.startswith("gates/")])
def test_no_shipped_config_is_refused(name: str) -> None:
    for config in load_all(name):
        method_of(config)


def test_more_draws_than_letters_are_refused_before_a_model_loads() -> None:
    kway = "roles.scorers.s={kind: judge_kway, model: small, judge: {judges_itself: true}}"
    assert "shows at most 26 candidates at once, and pipeline.n is 27" in refusal(
        kway, "pipeline.n=27"
    )
    assert job(kway, "pipeline.n=26").relative == {"s"}


def test_another_row_in_the_file_is_another_run(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    config = {**PLAIN, "task": {"name": "gsm8k", "source": str(rows)}}
    digests = []
    for answer in (5, 6):
        rows.write_text(json.dumps({"question": "2 + 3?", "answer": f"#### {answer}"}) + "\n")
        digests.append(prepare(override(config, [])).digest)
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("pipeline.name=rnk", "pipeline.name: unknown pipeline 'rnk'; known: rank"),
        ("pipeline.name=null", "pipeline.name: unknown pipeline None; known: rank"),
        ("pipeline.rankrs=[]", "pipeline.rankrs: unknown key; did you mean 'rankers'?"),
        ("pipeline.n=0", "pipeline.n: input should be greater than or equal to 1, got 0"),
        ("pipeline.ks=[8]", "pipeline: ks: wanted draw sizes from 1 to n = 4, got 8"),
        ("roles.generator=big", "roles.generator: no model 'big' under models; there are: small"),
        ("roles.scorers.s=magic", "roles.scorers.s: unknown scorer 'magic'; known: mean_logprob"),
        ("roles.scorers.s=p_true", "roles.scorers.s: kind 'p_true' needs model"),
        (
            "roles.scorers.s={kind: p_true, model: big}",
            "roles.scorers.s: there is no model 'big' under models",
        ),
        ("roles.scorers.s=recorded", "roles.scorers.s: kind 'recorded' needs field"),
        (
            "roles.scorers.s={kind: judge, model: small}",
            "roles.scorers.s: model 'small' would judge nothing but its own candidates; name",
        ),
        (
            "roles={generator: small, scorers: {s: {kind: judge_kway, models: [small, big]}}}",
            "roles.scorers.s: there is no model 'big' under models",
        ),
        ("models.small.engine=vlm", "unknown engine 'vlm'; known: vllm, hf, reward"),
        ("models.small.args.speed=9", "models.small.args: engine 'fake' has no argument 'speed'"),
        ("models.small.engine=replay", "models.small: engine 'replay' needs path"),
        ("models.small.engine=hf", "a model needs path"),
        ("task.name=arithmetik", "no task is called 'arithmetik'; known: arithmetic"),
        ("task={name: null}", "task.name is missing: set it to one of arithmetic"),
        ("task.step=3", "task.step: unknown key; did you mean 'steps'?"),
        ("task.steps=9", "task.steps: input should be less than or equal to 4, got 9"),
        (
            "pipeline.rankers=['best_of:armo']",
            "'best_of:armo' needs the scorer 'armo'; this config binds none; add roles.scorers.",
        ),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(change: str, message: str) -> None:
    assert message in refusal(change)


CHOOSING = {**PLAIN, "task": {"name": "truthfulqa_mc1"}, "pipeline": {"name": "choice"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("task={name: arithmetic, num_items: 4}", "its items have no choices to score"),
        ("pipeline.rankers=[G,ER]", "unknown ranker 'ER'"),
        ("roles.discriminator=judge", "roles.discriminator: no model 'judge'"),
        ("models.small={engine: replay, path: rows.jsonl}", "is a replay, without weights"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(
    change: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=message):
        prepare(override(CHOOSING, [change]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["pipeline.rankers=['equilibrium:D']"], "add roles.scorers.consensus"),
        (
            ["roles.scorers={consensus: mean_logprob}", "pipeline.rankers=['weighted:SC']"],
            "add roles.scorers.consensus",
        ),
        (
            ["roles.scorers={s: {kind: p_true, model: small, discriminator: small}}"],
            "discriminator is for kind 'consensus'",
        ),
    ],
)
def test_rankers_of_the_game_need_its_scorer(changes: list[str], message: str) -> None:
    assert message in refusal(*changes)


def test_self_certainty_scorers_must_agree_on_how_many_tokens_they_read() -> None:
    assert "need the same top" in refusal(
        "roles.scorers.a={kind: self_certainty, top: 5}",
        "roles.scorers.b={kind: self_certainty, top: 6}",
    )


def test_a_ranker_is_told_which_scorers_there_are() -> None:
    message = refusal("roles.scorers.logp=mean_logprob", "pipeline.rankers=['weighted:lgp']")
    assert "this config binds logp" in message


def test_a_model_directory_without_its_files_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    message = refusal("models.small.engine=hf", f"models.small.path={tmp_path}")
    assert "it lacks config.json, a tokenizer (tokenizer.json), weights" in message


def test_a_task_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("\n")
    config = {**PLAIN, "task": {"name": "gsm8k", "source": str(tmp_path / "none.jsonl")}}
    with pytest.raises(ConfigError, match=r"none\.jsonl has no rows"):
        prepare(override(config, []))


def test_a_method_whose_roles_nobody_can_play_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config(StrictConfig):
        pass

    async def solve(item: Item, config: Config, *, generator: object, critic: object) -> None:
        raise AssertionError("never asked")

    page = ModuleType("duel")
    page.Config, page.solve = Config, solve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "duel", page)
    monkeypatch.setitem(base.METHODS, "duel", "duel")
    with pytest.raises(ConfigError, match=r"duel needs roles that can't be bound: \{'critic'\}"):
        prepare(override({**PLAIN, "pipeline": {"name": "duel"}}, []))


def test_a_scorer_weighs_by_its_own_scale_or_by_its_kinds() -> None:
    made = job(
        "roles.scorers.a=mean_logprob", "roles.scorers.b={kind: mean_logprob, scale: sigmoid}"
    )
    assert made.scales == {"a": "logprob", "b": "sigmoid"}


def test_binding_gives_the_method_the_roles_that_it_asks_for() -> None:
    class Hosted:
        name = "small"

    made = job("roles.scorers.a=mean_logprob")
    roles = bind(made.config, made.method, {"small": Hosted()})  # type: ignore[dict-item]
    assert set(roles) == {"generator", "scorers"}
    assert set(roles["scorers"]) == {"a"}


def test_regrading_needs_no_data_and_changes_only_what_grades_and_ranks(tmp_path: Path) -> None:
    before = job()
    gone = {"name": "gsm8k", "source": str(tmp_path / "gone.jsonl")}
    config = override({**PLAIN, "task": gone}, ["pipeline.rankers=[oracle]"])
    after = regrading(config, before.identity)
    changed = {key for key in before.identity if before.identity[key] != after.identity[key]}
    assert changed == {"task", "pipeline"}
    assert after.digest != before.digest


def test_regrading_refuses_a_ranker_without_its_scorer() -> None:
    config = override(PLAIN, ["pipeline.rankers=['best_of:armo']"])
    with pytest.raises(ConfigError, match="needs the scorer 'armo'"):
        regrading(config, {})
