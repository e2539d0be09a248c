"""Ranking given choices, from log-probabilities whose answers can be worked out by hand."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from actors.config import parse
from actors.types import ConfigError, Continuation, Item, ItemError, Message
from pipelines.base import Solution
from pipelines.choice import Config, answers, solve
from pipelines.methods import pikl
from results.schema import AnswerRecord, CandidateRecord, GradeRecord, ScoreRecord

ITEM = Item(
    id="q-1",
    task="toy",
    messages=(Message(role="user", content="Which one?"),),
    question="Which one?",
    reference="B",
    choices=("red {head}", "blue"),
    prompt="Question: {answer} or not?\nAnswer:",
    continuations=(" red {head}", " blue"),
)


class Told:
    """A model whose log-probabilities are a function of the prompt and the text, and that keeps
    what it was asked.
    """

    def __init__(self, name: str = "small", *, too_long: str = "\x00") -> None:
        self.name = name
        self.asked: list[tuple[str, str]] = []
        self._too_long = too_long

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], continuations: Sequence[str]
    ) -> list[Continuation | None]:
        found: list[Continuation | None] = []
        for (message,), text in zip(prompts, continuations, strict=True):
            self.asked.append((message.content, text))
            value = -float(len(message.content) + 2 * len(text))
            fits = self._too_long not in message.content
            found.append(Continuation(logprob=value, tokens=2, prompt_tokens=9) if fits else None)
        return found


def solved(config: Config, item: Item = ITEM, **models: Told) -> Solution:
    small = Told()
    roles = {"likelihood": small, "discriminator": small, **models}
    return asyncio.run(solve(item, config, **roles))  # type: ignore[arg-type]


def test_the_generator_is_asked_for_both_verdicts_and_the_judge_for_both_labels() -> None:
    small, judge = Told(), Told("judge")
    solution = solved(Config(), likelihood=small, discriminator=judge)
    wrong = "Question: {answer} or not?\nIncorrect Answer:"
    texts = ITEM.continuations
    assert small.asked == [(p, t) for p in (ITEM.prompt, wrong) for t in texts]
    tail = "\nIs this answer Correct or Incorrect? (Answer Correct or Incorrect). This answer is"
    assert judge.asked == [
        (f"Question: {{answer}} or not?\nProposed Answer: {choice}{tail}", label)
        for choice in ITEM.choices
        for label in (" Correct", " Incorrect")
    ]
    assert [c.text for c in solution.candidates] == list(ITEM.choices)
    assert {c.decoding for c in solution.candidates} == {"choice"}
    assert list(solution.scores) == ["correct", "incorrect", "says_correct", "says_incorrect"]
    assert solution.asked == (Message(role="user", content=ITEM.prompt),)
    assert [(u.role, u.model, u.requests, u.tokens) for u in solution.usage] == [
        ("generator:correct", "small", 2, 22),
        ("generator:incorrect", "small", 2, 22),
        ("discriminator", "judge", 4, 44),
    ]


@pytest.mark.parametrize(
    ("rankers", "scores"),
    [
        (("G",), {"correct"}),
        (("G", "SC"), {"correct", "incorrect"}),
        (("D",), {"says_correct", "says_incorrect"}),
        (("MI",), {"correct", "says_correct", "says_incorrect"}),
    ],
)
def test_only_what_the_rankers_read_is_asked(rankers: tuple[str, ...], scores: set[str]) -> None:
    solution = solved(Config(rankers=rankers))
    assert set(solution.scores) == scores


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Q: Why?\nA:", "Q: Why?\nIncorrect A:"),
        ("Q: Why?\nA: ", "Q: Why?\nIncorrect A:"),
        ("He opens the", "He opens the\nIncorrect Answer:"),
    ],
)
def test_the_cue_of_a_prompt_is_what_it_ends_in(prompt: str, asked: str) -> None:
    small = Told()
    solved(Config(rankers=("SC",)), replace(ITEM, prompt=prompt), likelihood=small)
    assert small.asked[-1][0] == asked


def test_a_choice_that_does_not_fit_makes_the_item_too_long() -> None:
    with pytest.raises(ItemError, match="longer than the model's context") as caught:
        solved(Config(), discriminator=Told(too_long="blue"))
    assert caught.value.kind == "too_long"


def pool(
    log_generator: Sequence[Sequence[float]],
    log_discriminator: Sequence[Sequence[float]],
    *,
    gold: Sequence[int] = (0,),
    texts: Sequence[str] | None = None,
) -> list[CandidateRecord]:
    """The choices of one item: log P(y | v) as two rows, log P(v | y) as one row a choice."""
    found = []
    for index, (right, wrong) in enumerate(zip(*log_generator, strict=True)):
        values = (right, wrong, *log_discriminator[index])
        names = ("correct", "incorrect", "says_correct", "says_incorrect")
        credit = float(index in gold)
        found.append(
            CandidateRecord(
                index=index,
                member="small",
                decoding="choice",
                text=texts[index] if texts else "abcd",
                answer="ABCDEFG"[index],
                outcome="correct" if credit else "wrong",
                finish_reason="stop",
                prompt_tokens=9,
                tokens=index + 1,
                logprob=right,
                seed=None,
                correct=bool(credit),
                grade=(GradeRecord(metric="accuracy", value=credit),),
                seconds=0.0,
                scores=tuple(
                    ScoreRecord(scorer=n, value=v) for n, v in zip(names, values, strict=True)
                ),
            )
        )
    return found


def logs(*rows: Sequence[float]) -> list[list[float]]:
    return [[math.log(p) for p in row] for row in rows]


def rows_of(
    candidates: Sequence[CandidateRecord], config: Config
) -> dict[tuple[str, str], AnswerRecord]:
    (rows,) = answers([candidates], config)
    return {(row.method, row.metric): row for row in rows}


EXAMPLE_B = pool(
    logs((0.40, 0.30, 0.20, 0.10), (0.38, 0.20, 0.22, 0.20)),
    logs((0.55, 0.45), (0.70, 0.30), (0.60, 0.40), (0.30, 0.70)),
    gold=(1,),
)
"""A worked game in which generator and discriminator disagree."""


def test_every_ranker_picks_what_the_worked_example_says() -> None:
    rows = rows_of(EXAMPLE_B, Config())
    picks = {method: row.candidate for (method, metric), row in rows.items() if metric == "acc"}
    assert picks == {
        **dict.fromkeys(("G", "MI"), 0),
        **dict.fromkeys(("SC", "D", "MI*", "equilibrium:G", "equilibrium:D"), 1),
    }
    assert rows["SC", "acc"].value == 1.0
    assert rows["G", "acc"].value == 0.0
    assert (rows["SC", "acc"].answer, rows["SC", "acc"].correct) == ("B", True)
    assert rows["G and D", "disagree"].value == 1.0
    assert ("G and D", "wrong_if_agree") not in rows
    assert rows["equilibrium", "unsettled"].value == 1.0


def test_equal_scores_share_the_credit() -> None:
    flat = pool(logs((0.25,) * 4, (0.25,) * 4), logs(*[(0.5, 0.5)] * 4), gold=(2,))
    rows = rows_of(flat, Config())
    assert {row.value for (_, metric), row in rows.items() if metric == "acc"} == {0.25}
    assert rows["G and D", "disagree"].value == 0.0
    assert rows["G and D", "wrong_if_agree"].value == 0.75


def test_length_changes_acc_norm_by_characters_and_acc_bytes_by_bytes() -> None:
    """Two texts of four characters, one of them twelve bytes long."""
    texts = ("\u4f60\u597d\u4f60\u597d", "abcd")
    one = pool([[-10.0, -8.0], [-1.0, -1.0]], logs((0.5, 0.5), (0.5, 0.5)), texts=texts)
    rows = rows_of(one, Config(rankers=("G",)))
    found = {metric: row.candidate for (_, metric), row in rows.items() if metric != "mc2"}
    assert found == {"acc": 1, "acc_norm": 1, "acc_bytes": 0}


def test_mc2_is_the_share_of_all_true_choices_even_near_minus_two_thousand_nats() -> None:
    one = pool([[-2000.0, -2001.0, -2000.0], [-1.0] * 3], logs(*[(0.5, 0.5)] * 3), gold=(0, 1))
    value = rows_of(one, Config(rankers=("G",)))["G", "mc2"].value
    e = math.exp(-1.0)
    assert value == pytest.approx((1 + e) / (2 + e))


def test_length_norm_divides_both_prompts_before_any_ranker() -> None:
    """Choice number i has i + 1 tokens."""
    log_g, log_d = (
        [[-2.0, -3.0, -9.0], [-4.0, -2.0, -3.0]],
        logs((0.6, 0.4), (0.5, 0.5), (0.4, 0.6)),
    )
    one = pool(log_g, log_d)
    divided = pool([[v / (i + 1) for i, v in enumerate(row)] for row in log_g], log_d)
    by_tokens = rows_of(one, Config(length_norm="tokens"))
    plain = rows_of(divided, Config())
    assert {key: row.value for key, row in by_tokens.items()} == {
        key: row.value for key, row in plain.items()
    }
    assert by_tokens["G", "acc"].candidate == 1


def test_an_item_is_answered_the_same_whatever_its_company() -> None:
    rng = np.random.default_rng(0)
    pools = [
        pool(rng.normal(-3, 2, (2, n)).tolist(), rng.normal(-1, 1, (n, 2)).tolist(), gold=(n - 1,))
        for n in (2, 5, 3, 4, 1, 4)
    ]
    together = answers(pools, Config())
    alone = [answers([one], Config())[0] for one in pools]
    assert together == alone


def test_the_game_is_the_one_that_the_config_describes() -> None:
    far = {"lambda_generator": 1e6, "lambda_discriminator": 1e6, "iterations": 10}
    rows = rows_of(EXAMPLE_B, Config.model_validate({"game": far}))
    assert rows["equilibrium:G", "acc"].candidate == rows["SC", "acc"].candidate
    assert rows["equilibrium", "unsettled"].value == 0.0
    solved = pikl.solve(
        np.array([logs((0.40, 0.30, 0.20, 0.10), (0.38, 0.20, 0.22, 0.20))]),
        np.array([logs((0.55, 0.45), (0.70, 0.30), (0.60, 0.40), (0.30, 0.70))]),
    )
    assert solved.residual_Q[0] > 0.01


def test_choices_of_the_same_text_are_one_candidate_of_the_game_and_share_its_credit() -> None:
    log_g, log_d = logs((0.4, 0.3, 0.3), (0.3, 0.4, 0.4)), logs((0.4, 0.6), (0.7, 0.3), (0.7, 0.3))
    texts = ("red", "blue", "blue")
    rows = rows_of(pool(log_g, log_d, gold=(1,), texts=texts), Config())
    once = pool([row[:2] for row in log_g], log_d[:2], gold=(1,), texts=texts[:2])
    alone = rows_of(once, Config())
    for method in ("SC", "D", "equilibrium:G", "equilibrium:D"):
        assert rows[method, "acc"].candidate == alone[method, "acc"].candidate
    assert (alone["D", "acc"].value, rows["D", "acc"].value) == (1.0, 0.5)
    assert rows["equilibrium", "unsettled"] == alone["equilibrium", "unsettled"]


def test_nothing_to_answer_is_no_answer() -> None:
    assert answers([], Config()) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rankers": ("G", "ER")}, "unknown ranker 'ER'; known: G, MI"),
        ({"rankers": ("G", "G")}, "each one once"),
        ({"rankers": ()}, "each one once"),
        ({"discriminator": "Is it right?"}, "wanted {answer}"),
    ],
)
def test_configs_that_mean_nothing_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(Config, given)
