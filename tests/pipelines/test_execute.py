"""What a run says of its prompts, before it and at its start."""

import asyncio
import io
import json

import pytest
from rich.console import Console

from actors.types import ConfigError, EngineError, ItemError, Preview
from pipelines import execute, live
from pipelines.config import override
from pipelines.job import prepare
from results.store import Manifest, Store

CONFIG = {
    "name": "tiny",
    "task": {"name": "arithmetic", "num_items": 5},
    "pipeline": {"name": "rank", "n": 3},
    "models": {"small": {"engine": "fake"}},
    "roles": {"generator": "small"},
}
CHAT = Preview(
    template="chat",
    template_hash="3f2a9c0177",
    text="<|im_start|>[user] Hi",
    ids=tuple(range(1, 1088)),
    num_bos=1,
    first_ids=tuple((i, f"<|t{i}|>") for i in range(1, 11)),
)


class ScriptedCrew:
    """Shows the same preview for any item, or raises."""

    def __init__(self, outcome):
        self.outcome = outcome
        self.asked = []

    async def preview(self, model, item):
        assert model == "small"
        self.asked.append(item.id)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def noted(tmp_path, outcome):
    """What is printed, and what run.json then says of the prompts."""
    job = prepare(override(CONFIG, ()))
    crew = ScriptedCrew(outcome)
    page = io.StringIO()
    console = Console(file=page, width=40)
    manifest = Manifest(identity={"seed": 0}, about={"prompts": {"old": {"num_bos": 0}}})
    with Store.open(tmp_path / "run", manifest) as store:
        asyncio.run(live._note_prompt(job, store, crew, console))
    assert crew.asked == [next(job.task.items()).id]
    about = json.loads((tmp_path / "run" / "run.json").read_text())["about"]
    return page.getvalue(), about["prompts"]


def test_the_first_prompt_is_printed_on_one_line_and_kept(tmp_path):
    printed, prompts = noted(tmp_path, CHAT)
    assert printed == (
        "prompt: chat template 3f2a9c01…, 1 BOS, 1,087 tokens, first ids 1 '<|t1|>', 2 '<|t2|>', "
        "3 '<|t3|>', 4 '<|t4|>', ...\n"
    )
    assert prompts == {
        "old": {"num_bos": 0},
        "small": {
            "template": "chat",
            "template_hash": "3f2a9c0177",
            "num_bos": 1,
            "first_ids": [[i, token] for i, token in CHAT.first_ids],
            "example_text": CHAT.text,
        },
    }


def test_an_engine_without_a_tokenizer_has_nothing_to_show(tmp_path):
    assert noted(tmp_path, None) == ("", {"old": {"num_bos": 0}})


@pytest.mark.parametrize(
    "error", [ItemError("too_long", "the prompt is [too] long"), ConfigError("refuses [roles]")]
)
def test_a_prompt_that_can_not_be_shown_does_not_end_the_run(tmp_path, error):
    printed, prompts = noted(tmp_path, error)
    assert printed == f"prompt: not shown: {error}\n"
    assert prompts == {"old": {"num_bos": 0}}


def test_a_model_that_is_gone_does_end_the_run(tmp_path):
    with pytest.raises(EngineError, match="the last replica"):
        noted(tmp_path, EngineError("the last replica died"))


def test_the_plan_counts_prompt_tokens_once_and_once_per_request():
    path = "models.small={engine: hf, path: 'bundled:smollm2-135m-instruct'}"
    with_greedy = execute._prompt_tokens(prepare(override(CONFIG, [path])), "small")
    total = int(with_greedy.partition(" ")[0].replace(",", ""))
    assert total > 5 * 20
    assert f"{total:,} over all items ({total / 5:,.1f} each" in with_greedy
    assert with_greedy.endswith(f"; times 4 requests per item: {4 * total:,}")


def test_fresh_runs_of_lists_share_a_new_place_that_output_names_again(tmp_path) -> None:
    jobs = [
        prepare(override({**CONFIG, "name": f"tiny/{name}", "output": str(tmp_path)}, ()))
        for name in ("a", "b")
    ]
    (tmp_path / "tiny" / "a").mkdir(parents=True)
    where, directories = execute.run_directories(jobs, None, fresh=True)
    assert where == f"{tmp_path}/tiny-2"
    assert list(map(str, directories)) == [f"{where}/a", f"{where}/b"]
    assert execute.run_directories(jobs, where) == (where, directories)
    assert execute.run_directories(jobs[:1], None)[0] == f"{tmp_path}/tiny/a"
