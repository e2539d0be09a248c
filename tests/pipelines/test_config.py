"""From YAML and overrides to a validated run, and what each mistake is told."""

from pathlib import Path

import pytest

from actors.types import ConfigError
from pipelines.config import RunConfig, find, load, load_all, merge, override, shipped

YAML = """
seed: 3
task: {name: arithmetic, num_items: 4, steps: 1}
pipeline: {name: rank, n: 2, ks: [1, 2], sampling: {temperature: 1}}
models:
  small: {engine: fake, replicas: 2, fake: {texts: ["#### 1", "#### 2"]}}
roles: {generator: small, scorers: {logp: mean_logprob}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(YAML)
    return path


def loaded(path: Path, *overrides: str) -> RunConfig:
    return load(str(path), overrides)


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(str(path), overrides)
    return str(error.value)


def test_a_run_is_named_after_its_file_unless_it_says_otherwise(file: Path) -> None:
    assert loaded(file).name == "tiny"
    assert loaded(file, "name=other").name == "other"


def test_overrides_win_over_the_file_and_leave_the_rest(file: Path) -> None:
    config = loaded(file, "pipeline.n=8", "models.small.replicas=1", "task.steps=2")
    assert (config.pipeline["n"], config.models["small"].replicas.max) == (8, 1)
    assert config.task == {"name": "arithmetic", "num_items": 4, "steps": 2}
    assert config.pipeline["sampling"] == {"temperature": 1}
    assert config.seed == 3


def test_lists_of_tasks_and_pipelines_are_one_run_for_each_pair(file: Path) -> None:
    tasks = "task=[{name: arithmetic, num_items: 4}, {name: custom, title: sums}]"
    pipelines = "pipeline=[{name: rank, n: 2}, {name: rank, n: 4}]"
    runs = load_all(str(file), [tasks, pipelines, "task.limit=3", "seed=5"])
    assert [run.name for run in runs] == [
        "tiny/arithmetic-rank",
        "tiny/arithmetic-rank-2",
        "tiny/sums-rank",
        "tiny/sums-rank-2",
    ]
    assert [run.pipeline["n"] for run in runs] == [2, 4, 2, 4]
    assert {run.task["limit"] for run in runs} == {3}, "an override changes every run"
    assert {run.seed for run in runs} == {5}
    (one,) = load_all(str(file), ["seed=5"])
    assert one == load(str(file), ["seed=5"])


def test_one_of_several_tasks_is_changed_by_its_place(file: Path) -> None:
    tasks = "task=[{name: arithmetic, num_items: 4}, {name: custom, title: sums}]"
    runs = load_all(str(file), [tasks, "task.limit=3", "task.1.source=rows.jsonl", "task.1.seed=7"])
    assert [run.task.get("source") for run in runs] == [None, "rows.jsonl"]
    assert [run.task.get("seed") for run in runs] == [None, 7]
    assert {run.task["limit"] for run in runs} == {3}
    with pytest.raises(ConfigError, match="task has the places 0 to 1, got 2"):
        load_all(str(file), [tasks, "task.2.seed=7"])
    with pytest.raises(ConfigError, match=r"task\.0: wanted a mapping of keys, got 'arithmetic'"):
        load_all(str(file), ["task=[arithmetic, custom]", "task.0.seed=7"])


def test_an_empty_list_of_tasks_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="task: wanted at least one, got an empty list"):
        load_all(str(file), ["task=[]"])


def test_the_last_of_two_overrides_of_one_key_wins(file: Path) -> None:
    assert loaded(file, "seed=1", "seed=2").seed == 2


def test_an_override_may_add_a_section(file: Path) -> None:
    config = loaded(file, "models.big.engine=fake", "roles.scorers.p={kind: p_true, model: big}")
    assert set(config.models) == {"small", "big"}
    assert config.roles.scorers["p"].model == "big"


def test_a_list_in_yaml_or_in_an_override_fills_a_tuple(file: Path) -> None:
    assert loaded(file).models["small"].fake.texts == ("#### 1", "#### 2")
    assert loaded(file, "models.small.fake.texts=[a, b c]").models["small"].fake.texts == (
        "a",
        "b c",
    )


def test_a_whole_number_fills_a_float_but_text_fills_no_number(file: Path) -> None:
    assert loaded(file, "models.small.cpus=2").models["small"].cpus == 2.0
    assert "models.small.cpus: input should be a valid number, got 'two'" in refusal(
        file, "models.small.cpus=two"
    )


def test_a_bare_scorer_name_stands_for_its_kind(file: Path) -> None:
    assert loaded(file).roles.scorers["logp"].kind == "mean_logprob"


def test_interpolations_are_resolved_after_overrides(file: Path) -> None:
    file.write_text(YAML + "shard_size: ${pipeline.n}\n")
    assert loaded(file, "pipeline.n=7").shard_size == 7


def test_an_interpolation_of_nothing_is_refused(file: Path) -> None:
    file.write_text(YAML + "output: ${nowhere}/runs\n")
    assert "nowhere" in refusal(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sede=1", "sede: unknown key; did you mean 'seed'?"),
        ("models.small.replica=1", "models.small.replica: unknown key; did you mean 'replicas'?"),
        (
            "models.small.fake.faults.die_aftr=1",
            "models.small.fake.faults.die_aftr: unknown key; did you mean 'die_after'?",
        ),
        (
            "roles.scorers.logp={knd: mean_logprob}",
            "roles.scorers.logp.knd: unknown key; did you mean 'kind'?",
        ),
        ("cluster.zzz=1", "cluster.zzz: unknown key; known: address, cpus, gpus"),
        ("seed=x", "seed: input should be a valid integer, got 'x'"),
        ("seed=1.5", "seed: input should be a valid integer, got 1.5"),
        ("models.small.replicas=0", "models.small.replicas: input should be greater than or equal"),
        ("models.small=fake", "models.small: "),
        ("max_failed=-1", "max_failed: input should be greater than or equal to 0"),
        ("shard_size=0", "shard_size: input should be greater than or equal to 1"),
        ("roles.generator=null", "roles.generator: input should be a valid string, got None"),
    ],
)
def test_a_bad_value_is_refused_by_its_path(file: Path, change: str, message: str) -> None:
    assert message in refusal(file, change)


def test_a_run_without_models_is_refused(file: Path) -> None:
    file.write_text("task: {}\npipeline: {}\nmodels: {}\nroles: {generator: small}\n")
    assert refusal(file).startswith("models: dictionary should have at least 1 item")


def test_a_missing_key_is_named(file: Path) -> None:
    file.write_text(YAML.replace("roles: {generator: small, ", "roles: {"))
    assert refusal(file) == "roles.generator: this key is needed"


def test_every_problem_gets_its_own_line(file: Path) -> None:
    lines = refusal(file, "sede=1", "models.small.replicas=0").splitlines()
    assert len(lines) == 2


def test_an_override_without_a_value_is_refused(file: Path) -> None:
    assert "'pipeline.n': wanted key=value" in refusal(file, "pipeline.n")


def test_an_override_through_a_plain_value_is_refused_in_one_line(file: Path) -> None:
    message = refusal(file, "seed.deep=1")
    assert "seed" in message
    assert len(message.splitlines()) == 1


def test_a_missing_file_lists_the_shipped_configs() -> None:
    with pytest.raises(ConfigError, match=r"no config 'absent.yaml'.*demo"):
        find("absent.yaml")


def test_a_shipped_config_is_found_by_name_and_is_valid() -> None:
    assert "demo" in shipped()
    for name in shipped():
        assert {run.name.partition("/")[0] for run in load_all(name)} == {name.rpartition("/")[2]}


@pytest.mark.parametrize("text", ["a: [1, 2", "- 1\n- 2\n", "a: 1\na: 2\n"])
def test_a_file_that_is_no_mapping_is_refused_in_one_line(file: Path, text: str) -> None:
    file.write_text(text)
    message = refusal(file)
    assert str(file) in message
    assert len(message.splitlines()) == 1


def test_an_empty_file_lacks_every_needed_key(file: Path) -> None:
    file.write_text("")
    assert refusal(file).splitlines() == [
        f"{key}: this key is needed" for key in ("task", "pipeline", "models", "roles")
    ]


def test_keys_that_are_numbers_become_text() -> None:
    assert merge({"task": 1}, ["2=3"], "here") == {"task": 1, "2": 3}


def test_overriding_a_loaded_config_again_gives_the_same_run(file: Path) -> None:
    config = loaded(file)
    assert override(config.model_dump(mode="json"), []) == config
