"""The transformers engine against transformers itself, on SmolLM2-135M."""

import asyncio
import math

import pytest
import torch

from actors.config import ModelConfig, Sampling
from actors.engines import hf
from actors.engines.base import EngineRequest
from actors.engines.hf import HFEngine
from actors.types import ConfigError, EngineError, Message

QUESTIONS = (
    "Hi!",
    "What is the capital of France?",
    "Tom has 3 apples, buys 12 more and gives 5 to Ann. How many apples does Tom have now?",
)
GREEDY = Sampling(max_tokens=24)
CONFIG = ModelConfig(engine="hf")


@pytest.fixture(scope="module")
def prompts(renderer):
    return [tuple(renderer.render((Message(role="user", content=q),))) for q in QUESTIONS]


def request(prompt, sampling=GREEDY, seed=None, top=0):
    return EngineRequest(prompt_ids=prompt, sampling=sampling, seed=seed, top_logprobs=top)


def run(engine, *requests):
    return asyncio.run(engine.generate(requests))


def plain_logprobs(reference, prompt, token_ids):
    """log p over the vocabulary at each generated position, from one forward pass. [T][V]"""
    with torch.inference_mode():
        logits = reference(torch.tensor([[*prompt, *token_ids]])).logits[0]
    return logits[len(prompt) - 1 : -1].log_softmax(dim=-1)


def test_greedy_decoding_of_an_uneven_batch_equals_transformers_generate(
    engine, reference, prompts
):
    completions = run(engine, *(request(prompt) for prompt in prompts))
    for prompt, completion in zip(prompts, completions, strict=True):
        with torch.inference_mode():
            expected = reference.generate(
                torch.tensor([prompt]), do_sample=False, max_new_tokens=GREEDY.max_tokens
            )
        assert list(completion.token_ids) == expected[0, len(prompt) :].tolist()
        assert completion.prompt_tokens == len(prompt)


def test_a_batch_of_one_equals_a_batch_of_many(engine, prompts):
    requests = [
        request(prompt, Sampling(temperature=0.8, top_p=0.95, top_k=50, max_tokens=16), seed)
        for prompt in prompts
        for seed in (1, 2)
    ]
    together = run(engine, *requests)
    for one, many in zip([run(engine, r)[0] for r in requests], together, strict=True):
        assert one.token_ids == many.token_ids
        assert one.logprobs == pytest.approx(many.logprobs, abs=1e-4)


def test_log_probabilities_are_raw_whatever_the_sampling(engine, reference, prompts):
    sampling = Sampling(temperature=0.6, top_p=0.9, top_k=20, repetition_penalty=1.2, max_tokens=16)
    (completion,) = run(engine, request(prompts[1], sampling, seed=5))
    expected = plain_logprobs(reference, prompts[1], completion.token_ids)
    chosen = [float(expected[t, i]) for t, i in enumerate(completion.token_ids)]
    assert completion.logprobs == pytest.approx(chosen, abs=1e-3)
    assert completion.top_mean_logprobs == ()


def test_top_mean_logprobs_average_the_likeliest_tokens(engine, reference, prompts):
    (completion,) = run(engine, request(prompts[2], GREEDY, seed=3, top=20))
    expected = plain_logprobs(reference, prompts[2], completion.token_ids)
    means = expected.sort(dim=-1, descending=True).values[:, :20].mean(dim=-1)
    assert completion.top_mean_logprobs == pytest.approx(means.tolist(), abs=1e-3)


def test_a_seed_gives_the_same_text_and_another_seed_another(engine, prompts):
    sampling = Sampling(max_tokens=16)
    requests = [request(prompts[1], sampling, seed) for seed in (1, 2, 3)]
    first, second = run(engine, *requests), run(engine, *requests)
    assert [c.token_ids for c in first] == [c.token_ids for c in second]
    assert len({c.token_ids for c in first}) == 3


def test_draws_follow_the_tempered_distribution(engine, reference, prompts):
    """The share of the likeliest first token lies within four standard errors of its chance."""
    sampling, num_draws = Sampling(temperature=0.7, max_tokens=1), 400
    logprobs = plain_logprobs(reference, prompts[0], [0])[0]
    chances = (logprobs / 0.7).softmax(dim=-1)
    best, chance = int(chances.argmax()), float(chances.max())
    drawn = run(engine, *(request(prompts[0], sampling, seed) for seed in range(num_draws)))
    share = sum(c.token_ids == (best,) for c in drawn) / num_draws
    assert share == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / num_draws))
    assert 0.02 < chance < 0.98


def test_top_k_of_one_is_greedy(engine, prompts):
    greedy, narrow = run(
        engine,
        request(prompts[2]),
        request(prompts[2], Sampling(top_k=1, max_tokens=24), seed=9),
    )
    assert greedy.token_ids == narrow.token_ids


def test_a_repetition_penalty_counts_the_prompt_and_not_the_padding(engine, reference, prompts):
    from transformers import RepetitionPenaltyLogitsProcessor

    sampling = Sampling(repetition_penalty=1.5, top_k=1, max_tokens=6)
    completion, greedy, _ = run(
        engine,
        request(prompts[0], sampling, seed=1),
        request(prompts[0], sampling),
        request(prompts[2], sampling, seed=1),
    )
    assert greedy.token_ids == completion.token_ids
    penalty = RepetitionPenaltyLogitsProcessor(1.5)
    ids = list(prompts[0])
    for token in completion.token_ids:
        with torch.inference_mode():
            logits = reference(torch.tensor([ids])).logits[:, -1]
        assert int(penalty(torch.tensor([ids]), logits).argmax()) == token
        ids.append(token)


def test_an_end_token_stops_and_is_kept_out_of_the_text(engine, prompts):
    (completion,) = run(engine, request(prompts[1], Sampling(max_tokens=64)))
    assert completion.finish_reason == "stop"
    assert completion.token_ids[-1] == 2
    assert "<|im_end|>" not in completion.text
    assert len(completion.logprobs) == len(completion.token_ids) < 64


def test_a_stop_string_cuts_the_text_before_it(engine, prompts):
    (free,) = run(engine, request(prompts[1]))
    stop = free.text[8:14]
    (cut,) = run(engine, request(prompts[1], Sampling(max_tokens=24, stop=("never", stop))))
    assert cut.text == free.text[: free.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert cut.token_ids == free.token_ids[: len(cut.token_ids)]
    assert len(cut.token_ids) < len(free.token_ids)


def test_max_tokens_and_the_context_cut_with_finish_reason_length(directory, renderer, prompts):
    engine = HFEngine(
        ModelConfig(engine="hf", context=len(prompts[0]) + 3),
        directory=directory,
        renderer=renderer,
    )
    assert engine.context == len(prompts[0]) + 3
    by_context, by_request = run(
        engine, request(prompts[0]), request(prompts[0], Sampling(max_tokens=2))
    )
    assert (len(by_context.token_ids), by_context.finish_reason) == (3, "length")
    assert (len(by_request.token_ids), by_request.finish_reason) == (2, "length")
    asyncio.run(engine.close())


def test_draws_of_one_prompt_share_its_prefill(engine, prompts):
    sampling = Sampling(max_tokens=2)
    drawn = run(engine, *(request(prompts[1], sampling, seed) for seed in (1, 2, 3)))
    assert [c.cached_tokens for c in drawn] == [0, len(prompts[1]), len(prompts[1])]


def test_label_log_probabilities_equal_a_plain_forward_pass(engine, reference, renderer, prompts):
    labels = renderer.label_ids(("Yes", "No"), (Message(role="user", content=QUESTIONS[0]),))
    found = asyncio.run(engine.label_logprobs(prompts, labels))
    for prompt, values in zip(prompts, found, strict=True):
        expected = plain_logprobs(reference, prompt, [0])[0, labels]
        assert values == pytest.approx(expected.tolist(), abs=1e-3)


def test_concurrent_calls_get_their_own_completions_in_their_own_order(engine, prompts):
    async def calls():
        forward = engine.generate([request(p, Sampling(max_tokens=6)) for p in prompts])
        backward = engine.generate([request(p, Sampling(max_tokens=6)) for p in prompts[::-1]])
        return await asyncio.gather(forward, backward)

    forward, backward = asyncio.run(calls())
    assert [c.token_ids for c in forward] == [c.token_ids for c in backward[::-1]]
    assert len({c.token_ids for c in forward}) == 3


def test_more_rows_than_a_batch_holds_are_all_served(engine, prompts, monkeypatch):
    monkeypatch.setattr(hf, "BATCH_ROWS", 2)
    monkeypatch.setattr(hf, "BATCH_TOKENS", 200)
    requests = [request(prompts[i % 3], Sampling(max_tokens=3), seed=i) for i in range(7)]
    served = run(engine, *requests)
    assert [c.prompt_tokens for c in served] == [len(r.prompt_ids) for r in requests]
    many = asyncio.run(engine.label_logprobs(prompts * 2, [5, 6]))
    assert many[0] == pytest.approx(many[3], abs=1e-4)


def test_a_failing_batch_is_an_engine_error_and_the_next_call_is_served(engine, prompts):
    outside = request((10**9,))
    with pytest.raises(EngineError, match="IndexError"):
        run(engine, outside)
    assert run(engine, request(prompts[0], Sampling(max_tokens=1)))[0].prompt_tokens > 0


def test_closing_drops_calls_under_way_and_refuses_new_ones(directory, renderer, prompts):
    engine = HFEngine(CONFIG, directory=directory, renderer=renderer)

    async def close_early():
        long = Sampling(max_tokens=4000, stop=("no such text at all",))
        call = asyncio.ensure_future(engine.generate([request(prompts[0], long, seed=1)]))
        while not engine._running:  # noqa: ASYNC110  (only this test wants to know)
            await asyncio.sleep(0)
        await engine.close()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(EngineError, match="closed"):
            await engine.generate([request(prompts[0])])

    asyncio.run(close_early())


def test_unknown_args_a_longer_context_and_a_missing_gpu_are_refused(directory, renderer):
    def start(**changes):
        HFEngine(ModelConfig(engine="hf", **changes), directory=directory, renderer=renderer)

    with pytest.raises(ConfigError, match="no argument trust_remote_code"):
        start(args={"trust_remote_code": True})
    with pytest.raises(ConfigError, match="8192"):
        start(context=8193)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no GPU"):
            start(gpus=1.0)
