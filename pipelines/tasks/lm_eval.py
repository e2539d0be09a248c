"""Tasks of lm-evaluation-harness, with given choices or generated text: `lm_eval:arc_easy`.

    name --harness--> documents --context--> Item ... reply --filters--> process_results --> Grade

Contexts, worked examples (drawn with the harness's seed 1234), filters and metrics are the
library's own, unmodified. A group or a tag, such as `lm_eval:mmlu`, is one task whose items have
their subtask as category. What it can't serve exactly is refused by name.

- `output_type: multiple_choice`: an item's prompt and continuations are what the harness scores, so
  `acc`, `acc_norm` and `acc_bytes` of pipeline choice's ranker G are the harness's figures.
- `generate_until`: the context is one user turn; `until` and `max_gen_toks` go along as `Item.stop`
  and `Item.max_tokens`. Sampling is the pipeline's: a task with `do_sample: false` compares with
  the greedy candidate. Grading needs the whole document, so the reference is JSON that holds it,
  and a run is graded again without its data.
- `limit` is a random subset, where the harness takes the first; prompts are the same in both.

YAML files under `include_path` are code: the harness runs what their `!function` names. Tasks that
run what a model wrote are refused, and so is code in the repository of a data set.

Source: Gao et al. 2024, doi.org/10.5281/zenodo.12608602, version 0.4.13 of the library.
"""

import difflib
import importlib.metadata
import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from pydantic import Field, model_validator

from actors.types import ConfigError, FinishReason, Item, cut_reasoning
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row
from pipelines.tasks.harness import (
    HarnessSource,
    choice_item,
    complete,
    identity,
    refusal,
    reply_item,
)
from pipelines.tasks.harness_grades import Measure, answer, credit, filtered, measures
from pipelines.tasks.multiple_choice import grade_letter
from pipelines.tasks.rows import RowTask, digest

logger = logging.getLogger(__name__)

PREFIX = "lm_eval:"
"""What the harness's names have in front of them in a config."""

_NEEDS = "pip install 'lilliput[lm-eval]'"


class LmEvalConfig(TaskConfig):
    """What a task of the harness can be told; its data are its own."""

    # A task's own number of worked examples is no number of ours.
    shots: int | None = Field(None, ge=0)  # type: ignore[assignment]
    """Worked examples in the context; None: as many as the task says."""
    include_path: str | None = None
    """A folder of YAML files with tasks of your own. They are code: see above."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Settings that some tasks read, as `--metadata` of the harness."""
    metrics: tuple[str, ...] = ()
    """Of the task's metrics those to use, the headline first, such as `exact_match` or
    `exact_match,strict-match`; empty: all."""
    max_gen_toks: int | None = Field(None, ge=1)
    """Tokens that a reply may have, in place of what the task says."""

    @model_validator(mode="after")
    def _only_its_own(self) -> "LmEvalConfig":
        foreign = {"source", "split", "subset", "revision", "fewshot", "system"}
        if given := sorted(foreign & self.model_fields_set):
            raise ValueError(
                f"{', '.join(given)}: a task of lm-evaluation-harness brings its own data and "
                "prompt; take this out, or write a task of your own and name its folder in "
                "include_path"
            )
        return self


class LmEval(RowTask[LmEvalConfig]):
    """A task, group or tag of the harness. With `grading_only` a task is built again around the
    first document that is to be graded, from its YAML alone; given choices need not even that.
    """

    Config: ClassVar[type[TaskConfig]] = LmEvalConfig

    def __init__(self, config: LmEvalConfig, *, grading_only: bool = False) -> None:
        self._parts: dict[str, Any] = {}
        self._measures: tuple[Measure, ...] = ()
        self._building = Lock()
        super().__init__(config, grading_only=grading_only)

    def open(self) -> HarnessSource:
        """Load the task and grade a reply to its first document, as a run will. Raises ConfigError
        for a name that isn't known and for a task that can't be loaded or served.
        """
        self._parts = self._load()
        for part, task in self._parts.items():
            if what := refusal(task):
                raise ConfigError(f"task {self.name} can't be served: {part} has {what}")
            self._set_shots(task)
        found = {(task.OUTPUT_TYPE, self._chosen(task)) for task in self._parts.values()}
        if len(found) != 1:
            raise ConfigError(
                f"the tasks of {self.name} differ in output_type or metrics, so that one number "
                f"would mean nothing: name one of them: {', '.join(self._parts) or 'none'}"
            )
        self._use(*found.pop())
        self._try_grading()
        return HarnessSource(self.name, self._parts)

    def check_shots(self) -> None:
        """The harness draws them, and `HarnessSource` says when it can't."""

    def item(self, row: Row) -> Item:
        part = row.fields["part"]
        task = self._parts[part]
        # Of what the document says, never of where it stands.
        item_id = f"{part}-{digest(row.fields['doc'])[:16]}"
        category = "" if part == self.name.removeprefix(PREFIX) else part
        if task.OUTPUT_TYPE == "multiple_choice":
            return choice_item(task, row, item_id, self.name, category)
        return reply_item(task, row, item_id, self.name, category, self.config.max_gen_toks)

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        """A letter or choice as in other tasks; a reply as the harness grades it, thoughts cut off.
        A reply that the task's own code fails on has no verdict.
        """
        if item.choices:
            return grade_letter(item.reference, item.choices, text, finish_reason)
        kept = json.loads(item.reference)
        task = self._grader(item.category or self.name.removeprefix(PREFIX), kept)
        try:
            credits, said = self._graded(task, kept["doc"], cut_reasoning(text))
        except ConfigError:
            raise
        # Filters and metrics are the task's own code, and what a model writes may break any of it.
        except Exception as error:
            logger.warning("item %s: a reply can't be graded: %r", item.id, error)
            return Grade(answer=None, outcome="timed_out", metrics=())
        metrics = tuple(zip(self.metrics, credits, strict=True))
        if credits[0] == 1.0:
            return Grade(answer=said or "", outcome="correct", metrics=metrics)
        if said is not None:
            return Grade(answer=said, outcome="wrong", metrics=metrics)
        cut = finish_reason == "length"
        return Grade(answer=None, outcome="truncated" if cut else "no_answer", metrics=metrics)

    @property
    def inputs(self) -> tuple[str, ...]:
        doing = {part: identity(task) for part, task in self._parts.items()}
        version = importlib.metadata.version("lm-eval")
        return (self.source.fingerprint, version, digest(doing))

    @cached_property
    def _tasks(self) -> Any:
        """The harness's table of tasks. To read its thousands of YAML files takes seconds, so they
        are left alone where all that is wanted is in `include_path`.
        """
        try:
            from lm_eval.tasks import TaskManager
        except ImportError as error:
            raise ConfigError(
                f"task {self.name}: lm-evaluation-harness can't be imported ({error}): {_NEEDS}"
            ) from None
        folder, metadata = self.config.include_path, self.config.metadata or None
        if folder is not None:
            if not Path(folder).expanduser().is_dir():
                raise ConfigError(f"task.include_path: wanted a folder of YAML files, got {folder}")
            folder = str(Path(folder).expanduser().resolve())
            own = TaskManager(include_path=folder, include_defaults=False, metadata=metadata)
            if complete(own.task_index, self.name.removeprefix(PREFIX)):
                return own
        return TaskManager(include_path=folder, metadata=metadata)

    def _load(self) -> dict[str, Any]:
        name, known = self.name.removeprefix(PREFIX), self._tasks.all_tasks
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            raise ConfigError(
                f"lm-evaluation-harness has no task {name!r}; near: {', '.join(near) or 'none'}; "
                "`lm_eval ls tasks` lists them all, task.include_path adds your own"
            )
        return self._loaded(name)

    def _loaded(self, spec: str | dict[str, Any]) -> dict[str, Any]:
        """Tasks by name. Raises ConfigError."""
        from lm_eval.api.task import ConfigurableTask

        try:
            found: dict[str, Any] = self._tasks.load(spec)["tasks"]
        # YAML, functions that it names, data sets, the network: each raises errors of its own, and
        # all mean that the task can't be had.
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(f"lm-evaluation-harness can't load {self.name}: {what}") from error
        for part, task in found.items():
            if type(task) is not ConfigurableTask:
                raise ConfigError(
                    f"task {self.name} can't be served: {part} is a Python class of its own, where "
                    "a task made of YAML is needed"
                )
        return found

    def _set_shots(self, task: Any) -> None:
        own, asked = task.config.num_fewshot, self.config.shots
        if asked and own == 0:
            raise ConfigError(
                f"task.shots: {task.config.task} is made for no worked examples (num_fewshot: 0), "
                f"got {asked}; take it out"
            )
        task.set_config("num_fewshot", (own or 0) if asked is None else asked)
        if not task.config.num_fewshot:
            # They are all in memory, and none will be drawn.
            task.sampler.replace_df([])

    def _chosen(self, task: Any) -> tuple[Measure, ...]:
        from lm_eval.api.metrics import mean

        return measures(task, self.config.metrics, mean)

    def _use(self, output_type: str, chosen: tuple[Measure, ...]) -> None:
        self._measures = chosen
        if output_type == "generate_until":
            self.metrics = tuple(one.label for one in chosen)

    def _graded(
        self, task: Any, doc: Mapping[str, Any], text: str
    ) -> tuple[list[float], str | None]:
        """Credits under the measures, and the answer that the first one is about."""
        replies = filtered(task, doc, text)
        credits = credit(task, doc, replies, self._measures)
        return credits, answer(task, self._measures[0], replies[self._measures[0].filter])

    def _try_grading(self) -> None:
        """Raises ConfigError for a task that can't grade what is easy: no text, and the target."""
        # In a thread, as in a run: some tasks wait for signals, which only the main thread gets.
        with ThreadPoolExecutor(1) as thread:
            for part, task in self._parts.items():
                if task.OUTPUT_TYPE != "generate_until":
                    continue
                doc = task.task_docs[0]
                for text in ("", str(task.doc_to_target(doc))):
                    try:
                        thread.submit(self._graded, task, doc, text).result()
                    except ConfigError:
                        raise
                    except Exception as error:  # the task's own code, as in grade
                        raise ConfigError(
                            f"task {self.name} can't be served: {part} can't grade the reply "
                            f"{text!r}: {type(error).__name__}: {error}"
                        ) from error

    def _grader(self, part: str, kept: Mapping[str, Any]) -> Any:
        """The task, or one made of its YAML and one document."""
        with self._building:
            if part not in self._parts:
                task = self._parts[part] = self._rebuilt(part, kept["doc"])
                task.multiple_target = kept["targets"]
                self._use(task.OUTPUT_TYPE, self._chosen(task))
            return self._parts[part]

    def _rebuilt(self, part: str, doc: Mapping[str, Any]) -> Any:
        if part not in self._tasks.all_subtasks:
            raise ConfigError(f"lm-evaluation-harness has no task {part!r} any more; add its YAML")
        # It would warn of data made by a function.
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        changes = {
            "task": part,
            "custom_dataset": lambda **_: {"kept": _Kept([doc])},
            "test_split": "kept",
            "num_fewshot": 0,
            # Done to the document before it was kept.
            "process_docs": None,
        }
        unset = ("training_split", "validation_split", "fewshot_split", "fewshot_config")
        # Of the library's ways to load a task with changes the one that begins with its YAML.
        again = {"group": "again", "task": [{**changes, **dict.fromkeys(unset)}]}
        return self._loaded(again)[part]


class _Kept(list[Mapping[str, Any]]):
    """Documents that aren't a data set, where the harness wants one."""

    @property
    def features(self) -> Mapping[str, Any]:
        return self[0]
