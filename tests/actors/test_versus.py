"""A judge that compares each candidate with the item's reference, in both orders."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from actors.config import parse
from actors.judge_table import about
from actors.role_config import ScorerConfig
from actors.scorer_table import make_scorer
from actors.types import Candidate, Completion, Item, ItemError, Message, Score

Reply = Callable[[str, str], str]
"""Of the texts under A and B."""


class Writer:
    """Replies as a function of what it is shown says."""

    def __init__(self, reply: Reply, name: str = "j") -> None:
        self.reply, self.name, self.asked = reply, name, 0

    async def generate(
        self, item: Item, *, seeds: Sequence[int | None], sampling: Any, top_logprobs: int = 0
    ) -> list[Completion]:
        self.asked += 1
        a, b = re.findall(r"^Reply [AB]:\n> (.*)$", item.messages[0].content, re.MULTILINE)
        text = self.reply(a, b)
        return [
            Completion(text=text, finish_reason="stop", prompt_tokens=10, token_ids=(1, 2))
            for _ in seeds
        ]


def scored(
    models: Sequence[Writer], *texts: str, reference: str = "base", **more: Any
) -> list[Score]:
    names = [model.name for model in models]
    config = parse(ScorerConfig, {"kind": "judge_versus", "models": names, **more})
    item = Item(
        id="q", task="t", question="?", reference=reference,
        messages=(Message(role="user", content="?"),),
    )  # fmt: skip
    pool = [
        Candidate(
            index=i, member="m", decoding="sample", text=text, finish_reason="stop",
            prompt_tokens=1, tokens=1, logprob=-1.0, seed=1, seconds=0.0,
        )
        for i, text in enumerate(texts)
    ]  # fmt: skip
    scorer = make_scorer("s", config, {model.name: model for model in models})  # type: ignore[dict-item]
    return asyncio.run(scorer.score(item, pool))


def longer(a: str, b: str) -> str:
    return "[[C]]" if len(a) == len(b) else "[[A]]" if len(a) > len(b) else "[[B]]"


def test_a_win_a_loss_and_a_tie() -> None:
    scores = scored([Writer(longer)], "a better one", "bad", "same")
    assert [score.value for score in scores] == [1.0, 0.0, 0.5]
    assert [score.parts for score in scores] == [
        (1.0, 1.0, 0.0, 1.0), (0.0, 1.0, 1.0, 1.0), (0.5, 1.0, 0.5, 1.0),
    ]  # fmt: skip


def test_a_verdict_that_stays_with_the_place_is_a_tie() -> None:
    (score,) = scored([Writer(lambda a, b: "[[A]]")], "x")
    assert (score.value, score.parts) == (0.5, (1.0, 1.0, 1.0, 1.0))


def test_each_text_is_judged_once_and_costs_both_prompts() -> None:
    judge = Writer(longer)
    first, again = scored([judge], "x", "x", judge={"retries": 0})
    assert judge.asked == 2
    assert (first.value, first.prompt_tokens, first.tokens) == (0.0, 20, 4)
    assert (again.value, again.prompt_tokens, again.tokens) == (0.0, 0, 0)


def test_without_a_verdict_in_either_order_there_is_none() -> None:
    judge = Writer(lambda a, b: "[[A]]" if a == "base" else "Hm.")
    (score,) = scored([judge], "x")
    assert score.value is None
    assert str(score.parts) == "(nan, nan, 1.0, 1.0)"


def test_of_a_jury_the_mean_of_those_with_a_verdict() -> None:
    jury = [Writer(longer, "a"), Writer(lambda a, b: "Hm.", "b"), Writer(lambda a, b: "[[C]]", "c")]
    (score,) = scored(jury, "much longer")
    assert score.value == 0.75
    assert len(score.parts) == 12


@pytest.mark.parametrize(
    ("grade", "back", "value", "parts"),
    [
        ("A>>B", "B>A", 1.0, (1.0, 3.0, 0.0, 1.0)),
        ("B>A", "A>>B", 0.0, (0.0, 1.0, 1.0, 3.0)),
        ("A=B", "A=B", 0.5, (0.5, 1.0, 0.5, 1.0)),
        ("A>B", "A>>B", 0.5, (1.0, 1.0, 1.0, 3.0)),
    ],
)
def test_the_five_grades_of_arena_hard_and_their_weights(
    grade: str, back: str, value: float, parts: tuple[float, ...]
) -> None:
    judge = Writer(lambda a, b: f"So A>B it is?\n[[{back if a == 'base' else grade}]]")
    (score,) = scored([judge], "x", prompt="arena_hard")
    assert (score.value, score.parts) == (value, parts)


def test_a_grade_outside_the_set_is_no_verdict() -> None:
    for reply in ("[[A>>>B]]", "[[A]]", "A>B", "[[A>B]] or [[B>A]]"):
        (score,) = scored([Writer(lambda a, b, reply=reply: reply)], "x", prompt="arena_hard")  # type: ignore[misc]
        assert score.value is None, reply


def test_an_item_without_a_reference_is_an_error_of_the_item() -> None:
    with pytest.raises(ItemError, match="item 'q' has no reference to compare replies with"):
        scored([Writer(longer)], "x", reference=" ")


def test_a_run_keeps_how_the_parts_are_to_be_read() -> None:
    kept = about(ScorerConfig(kind="judge_versus", model="j"))
    assert (kept["form"], kept["low"], kept["high"]) == ("versus", 0.0, 1.0)
