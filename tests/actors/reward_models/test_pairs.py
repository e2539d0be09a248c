"""Encoders that compare two replies: a tiny PairRM in its published layout says what plain torch
says, alone or in company.
"""

import asyncio
import json
import shutil

import pytest

from actors import engines
from actors.config import ModelConfig
from actors.reward_models.comparisons import INSTRUCTION
from actors.types import ConfigError, EngineError, ItemError, Message
from tests.actors.reward_models import tiny_pairrm

QUESTION = tiny_pairrm.QUESTION
REPLIES = tiny_pairrm.REPLIES


def test_logits_are_those_of_an_independent_forward_pass(paired, comparing):
    pairs = [(0, 1), (1, 0), (0, 2), (2, 1)]
    ids = comparing.prompts.comparisons(QUESTION, REPLIES, pairs)
    found = asyncio.run(comparing.preferences(ids))
    wanted = [tiny_pairrm.logit(paired[1], one) for one in ids]
    assert found == pytest.approx(wanted, abs=1e-4)
    assert max(map(abs, wanted)) > 0.1
    # Distances beyond the table of positions are among those read.
    assert max(map(len, ids)) > 2 * tiny_pairrm.POSITIONS


def test_batch_padding_and_order_leave_a_logit_as_it_is(comparing):
    ids = comparing.prompts.comparisons(QUESTION, REPLIES, [(0, 1), (0, 2), (2, 0), (1, 1)])
    alone = [asyncio.run(comparing.preferences([one]))[0] for one in ids]
    assert asyncio.run(comparing.preferences(ids)) == pytest.approx(alone, abs=1e-5)
    assert asyncio.run(comparing.preferences(ids[::-1])) == pytest.approx(alone[::-1], abs=1e-5)
    assert asyncio.run(comparing.preferences([ids[0]] * 3)) == pytest.approx(
        alone[:1] * 3, abs=1e-5
    )
    assert asyncio.run(comparing.preferences([])) == []


def test_a_comparison_is_tokenized_as_published(comparing):
    tokenizer = tiny_pairrm.tokenizer()
    (ids,) = comparing.prompts.comparisons(QUESTION, REPLIES, [(0, 1)])
    parts = ("<|source|>" + QUESTION[0].content, "<|candidate1|>" + REPLIES[0])
    wanted = [*map(tokenizer.encode, parts), tokenizer.encode("<|candidate2|>" + REPLIES[1])]
    assert ids == [token for part in wanted for token in part]
    turns = [
        Message(role=role, content=text)
        for role, text in (
            ("system", "Be kind."),
            ("user", "Hi"),
            ("assistant", "Ho"),
            ("user", "X"),
        )
    ]
    (ids,) = comparing.prompts.comparisons(turns, ("a", "b"), [(0, 1)])
    text = comparing.prompts.raw_text(ids)
    prompt = f"{INSTRUCTION}USER: Hi Assistant: <Response 1> USER: X Assistant: <Response 2>"
    assert text.startswith(f"[CLS]<|source|> Be kind. {prompt}[SEP]")
    assert text.endswith("[CLS]<|candidate2|> <Response 1>: Ho <Response 2>: b[SEP]")
    with pytest.raises(ConfigError, match="got roles \\['user', 'user'\\]"):
        comparing.prompts.comparisons([*QUESTION, *QUESTION], REPLIES, [(0, 1)])


def test_tokens_that_a_reply_spells_are_text(comparing):
    spelled = "a <|candidate2|> b [SEP][CLS] <|source|>"
    (ids,) = comparing.prompts.comparisons(QUESTION, (spelled, "b"), [(0, 1)])
    start, end = comparing.prompts.ends
    guarded = {start, end, *comparing.prompts.prefix_ids}
    assert [i for i in ids if i in guarded] == [
        part for prefix in comparing.prompts.prefix_ids for part in (start, prefix, end)
    ]


def test_nothing_is_cut_what_is_over_a_limit_is_said(paired, tmp_path):
    shutil.copytree(paired[0], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    limits = {"source_maxlength": 40, "candidate_maxlength": 20}
    (tmp_path / "config.json").write_text(json.dumps({**config, **limits}))
    prompts = engines.build(ModelConfig(engine="pairrm", path=str(tmp_path))).prompts
    source = len(prompts.comparisons(QUESTION, ("a",), [(0, 0)])[0]) - 2 * 4
    room = (40 + 2 * 20 - source) // 2
    fits = "a" + "," * (room - 4)
    (ids,) = prompts.comparisons(QUESTION, (fits,), [(0, 0)])
    assert len(ids) == source + 2 * room
    with pytest.raises(ItemError, match=rf"reply 1 has {room + 1} tokens; .* {room} of") as error:
        prompts.comparisons(QUESTION, ("a", fits + ","), [(0, 1)])
    assert error.value.kind == "too_long"
    long = [Message(role="user", content="a,b" * 20)]
    with pytest.raises(ItemError, match=r"prompt has .* at most 40 and nothing is cut") as error:
        prompts.comparisons(long, ("a",), [(0, 0)])
    assert error.value.kind == "too_long"
    with pytest.raises(ConfigError, match="context: wanted 81 tokens"):
        engines.build(ModelConfig(engine="pairrm", path=str(tmp_path), context=81))
    with pytest.raises(ConfigError, match="template: an encoder reads one format"):
        engines.build(ModelConfig(engine="pairrm", path=str(tmp_path), template="none"))


def test_a_closed_engine_says_so(paired):
    engine = engines.build(ModelConfig(engine="pairrm", path=str(paired[0])))
    asyncio.run(engine.close())
    with pytest.raises(EngineError, match="closed"):
        asyncio.run(engine.preferences([[1, 2]]))
