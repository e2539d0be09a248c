"""A run that needs a sandbox: its pool, its identity, and what is refused."""

import pytest

from actors.config import Replicas
from actors.sandbox.config import SandboxConfig
from actors.sandbox.types import Verdict
from actors.types import ConfigError
from pipelines import tested
from pipelines.config import override
from pipelines.job import prepare, regrading
from pipelines.rescore import GRADING

PLAIN = {
    "name": "code",
    "task": {"name": "humaneval", "limit": 3},
    "pipeline": {"name": "rank", "n": 2},
    "models": {"small": {"engine": "fake"}},
    "roles": {"generator": "small"},
}


def job(*overrides):
    return prepare(override(PLAIN, overrides))


def test_a_task_that_runs_code_has_a_pool_for_it_and_others_have_none():
    made = job()
    assert list(made.pools) == ["small", "sandbox"]
    assert made.pools["sandbox"] == SandboxConfig()
    assert list(job("task={name: arithmetic, num_items: 3}").pools) == ["small"]


def test_every_runner_has_a_replica_unless_a_number_is_asked_for():
    assert job("cluster.runners=16").pools["sandbox"].replicas == Replicas(min=16, max=16)
    asked = job("cluster.runners=16", "sandbox.replicas=3").pools["sandbox"]
    assert asked.replicas == Replicas(min=3, max=3)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("sandbox.memory_mib=512", False),
        ("sandbox.cpu_seconds=9", False),
        ("sandbox.wall_seconds=9", False),
        ("sandbox.replicas=7", True),
        ("sandbox.cpus=2", True),
        ("sandbox.backend=landlock", True),
        ("sandbox.allow_unsafe_code=true", True),
    ],
)
def test_what_decides_verdicts_decides_the_run_and_where_they_are_made_does_not(change, same):
    assert (job(change).digest == job().digest) is same


def test_the_sandbox_is_no_part_of_runs_without_code():
    task = "task={name: arithmetic, num_items: 3}"
    assert job(task, "sandbox.memory_mib=512").digest == job(task).digest
    assert "sandbox" not in job(task).identity


def test_a_regraded_run_has_its_own_limits():
    config = override(PLAIN, ["sandbox.cpu_seconds=9"])
    again = regrading(config, job().identity)
    assert again.identity["sandbox"]["cpu_seconds"] == 9
    assert again.digest == prepare(config).digest


def test_a_model_can_not_take_the_name_of_the_sandbox():
    with pytest.raises(ConfigError, match=r"models\.sandbox: .* rename the model"):
        job("models={sandbox: {engine: fake}}", "roles.generator=sandbox")


def test_wrong_settings_of_the_sandbox_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"sandbox\.cpu_second: .*did you mean 'cpu_seconds'"):
        job("sandbox.cpu_second=9")
    with pytest.raises(ConfigError, match=r"sandbox.*wants cpus above 0"):
        job("sandbox.replicas=auto")


@pytest.mark.parametrize("change", ["sandbox.cpu_seconds=9", "sandbox.allow_unsafe_code=true"])
def test_a_run_can_be_graded_again_with_other_limits(change):
    assert GRADING.fullmatch(change)


def test_what_each_backend_guarantees_is_said_once():
    infos = [
        {"model": "small", "device": "a processor"},
        {"model": "sandbox", "device": "landlock"},
        {"model": "sandbox", "device": "none"},
        {"model": "sandbox", "device": "landlock"},
    ]
    found = tested.backends(infos)
    assert list(found) == ["landlock", "none"]
    assert "none can be written" in found["landlock"]["keeps"]
    assert found["none"]["lacks"].startswith("everything else")


def test_a_program_that_cannot_be_tested_has_no_verdict_and_leaves_the_others_theirs(caplog):
    task = job().task
    item = next(task.items())
    texts = ["    return 1\n", "    return 2\n"]
    programs = [task.program(item, text, "stop") for text in texts]
    verdicts = [Verdict(outcome="unsupported", why="a lambda"), Verdict(outcome="passed")]
    known = dict(zip(programs, verdicts, strict=True))
    grades = [tested.grade(task, item, text, "stop", known) for text in texts]
    assert [(grade.outcome, grade.metrics) for grade in grades] == [
        ("ungraded", ()),
        ("correct", (("accuracy", 1.0),)),
    ]
    assert f"item {item.id} has no verdict: a lambda" in caplog.text


def test_a_reply_that_a_grader_cannot_bear_has_no_verdict_and_ends_nothing(caplog):
    class Task:
        error: Exception = RecursionError("too deep")

        def program(self, *_):
            return None

        def grade(self, *_):
            raise self.error

    task, item = Task(), next(job().task.items())
    grade = tested.grade(task, item, "[[[", "stop", {})
    assert (grade.answer, grade.outcome, grade.metrics) == (None, "ungraded", ())
    assert f"item {item.id} could not be graded: RecursionError: too deep" in caplog.text
    # What was asked for wrongly ends the run, as it should.
    task.error = ConfigError("no such field")
    with pytest.raises(ConfigError, match="no such field"):
        tested.grade(task, item, "[[[", "stop", {})
