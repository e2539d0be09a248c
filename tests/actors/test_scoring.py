"""Given tokens scored with transformers: by trees, by plain rows, and as the model itself says."""

import asyncio
import random
import threading

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from actors.bundled import bundled_path
from actors.config import ModelConfig
from actors.engines import reading
from actors.engines.base import ScoreRequest
from actors.engines.hf import HFEngine
from actors.engines.masks import windows
from actors.engines.packing import Limits
from actors.engines.scoring import Likelihoods
from actors.rendering import Renderer
from actors.types import EngineError, ItemError

NATS = 1e-4


def naive(model, requests):
    """One forward pass of the whole of each request. [request][T - start]"""
    rows = []
    for request in requests:
        with torch.inference_mode():
            logits = model(torch.tensor([request.ids]), use_cache=False).logits[0]
        logprobs = logits[request.start - 1 : -1].float().log_softmax(dim=-1)
        scored = request.ids[request.start :]
        rows.append([float(logprobs[t, token]) for t, token in enumerate(scored)])
    return rows


def questions(num, *, shots=0, prompt=30, text=8, vocabulary=40_000, seed=0):
    """Made-up questions of four choices, uneven, some of whose choices begin alike."""
    rng = random.Random(seed)

    def tokens(n):
        return tuple(rng.randrange(3, vocabulary) for _ in range(n))

    first, requests = tokens(shots), []
    for _ in range(num):
        asked = first + tokens(rng.randint(prompt // 2, prompt))
        begin = tokens(2)
        for choice in range(4):
            ids = asked + (begin if choice % 2 else ()) + tokens(rng.randint(1, text))
            requests.append(ScoreRequest(ids=ids, start=len(asked)))
    return requests


def assert_close(rows, expected, nats=NATS):
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, abs=nats)


def read_all(likelihoods, requests):
    found = {}
    for pack in likelihoods.plan(requests):
        found |= likelihoods.read(requests, pack)
    return [found[i] for i in range(len(requests))]


class Wrapped:
    """A model with something in its way: counts what it is given, and may refuse it."""

    def __init__(self, model, *, most=1 << 60, deaf=False):
        self._model, self._most, self._deaf = model, most, deaf
        self.config, self.device, self.dtype = model.config, model.device, model.dtype
        self.sizes = []

    def __call__(self, input_ids, attention_mask, **others):
        self.sizes.append(input_ids.numel())
        if input_ids.numel() > self._most:
            raise torch.OutOfMemoryError("no room")
        if self._deaf and attention_mask.ndim == 4:
            attention_mask = None
        return self._model(input_ids=input_ids, attention_mask=attention_mask, **others)


def likelihoods(model, limits=None):
    made = Likelihoods(model, threading.Event())
    if limits is not None:
        made._limits = limits
    return made


def test_trees_and_plain_rows_both_equal_a_whole_forward_pass(engine, reference):
    requests = [*questions(2), *questions(2, shots=150, text=2, seed=1)]
    requests.append(ScoreRequest(ids=(5, 6), start=1))
    expected = naive(reference, requests)
    assert_close(asyncio.run(engine.continuation_logprobs(requests)), expected)
    plain = likelihoods(Wrapped(reference, deaf=True))
    assert_close(read_all(plain, requests[-8:]), expected[-8:])


def test_order_company_and_size_of_the_batch_change_nothing(engine, reference):
    requests = questions(4, prompt=20, seed=2)
    together = asyncio.run(engine.continuation_logprobs(requests))
    assert_close(asyncio.run(engine.continuation_logprobs(requests[::-1])), together[::-1])
    alone = [asyncio.run(engine.continuation_logprobs([r]))[0] for r in requests[:3]]
    assert_close(alone, together[:3])
    small = likelihoods(reference, Limits(row=24, pack=60, scored=9))
    assert_close(read_all(small, requests), together)


def test_a_header_is_read_once_and_serves_later_calls(reference):
    model = Wrapped(reference)
    reader = likelihoods(model)
    requests = questions(6, shots=200, prompt=60, text=1)
    expected = naive(reference, requests[::5])
    rows = []
    for i in range(0, len(requests), 4):
        rows += read_all(reader, requests[i : i + 4])
    assert_close(rows[::5], expected)
    tokens = sum(model.sizes[-9:])
    # The first two questions read the shots; whoever comes later goes on from there.
    assert tokens < 2 * 260 + 4 * 64


def test_headers_that_are_kept_stay_within_their_bounds(reference, monkeypatch):
    monkeypatch.setattr(reading, "NUM_HEADERS", 2)
    monkeypatch.setattr(reading, "HEADER_TOKENS", 400)
    reader = likelihoods(reference, Limits(row=32, pack=512, scored=100))
    for seed in range(3):
        requests = questions(3, shots=150, prompt=20, text=1, seed=seed)
        assert_close(read_all(reader, requests)[:4], naive(reference, requests[:4]))
    kept = reader._headers.kept
    assert len(kept) == 2
    assert sum(map(len, kept)) <= 400


def test_out_of_memory_halves_the_pack_and_goes_on(reference):
    model = Wrapped(reference)
    reader = likelihoods(model)
    requests = questions(6, prompt=40, seed=3)
    expected = naive(reference, requests)
    reader.plan(requests)  # The trial of trees is over.
    model._most, model.sizes = 90, []
    assert_close(read_all(reader, requests), expected)
    assert max(model.sizes) > 90
    assert len([size for size in model.sizes if size <= 90]) > 2


def test_a_sequence_that_fits_in_no_memory_fails_alone(reference):
    model = Wrapped(reference)
    reader = likelihoods(model)
    fits, too_large = questions(1, prompt=30), ScoreRequest(ids=tuple(range(3, 203)), start=1)
    requests = [*fits, too_large]
    reader.plan(requests)
    model._most = 100
    *rows, failed = read_all(reader, requests)
    assert_close(rows, naive(reference, fits))
    assert isinstance(failed, ItemError)
    assert "200 tokens, 199 of them scored" in str(failed)


def test_a_model_that_takes_no_mask_is_not_given_trees(reference):
    model = Wrapped(reference, deaf=True)
    reader = likelihoods(model)
    requests = questions(1, prompt=12)
    assert all(pack.is_plain for pack in reader.plan(requests))
    assert_close(read_all(reader, requests), naive(reference, requests))


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 199,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}
WINDOW = {"sliding_window": 9}
MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [3.0] * 4,
    "original_max_position_embeddings": 24,
}
FAMILIES = {
    "llama": (SMALL, True),
    "gemma3_text": (SMALL | WINDOW | MIXED, True),
    "gemma2": (SMALL | WINDOW | MIXED, True),
    "qwen3": (SMALL | WINDOW | MIXED | {"use_sliding_window": True}, True),
    "mistral": (SMALL | WINDOW, False),
    "phi3": (SMALL | {"rope_parameters": LONGROPE, "original_max_position_embeddings": 24}, False),
    "gpt2": ({"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 199}, True),
    "bloom": ({"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 199}, False),
    "mamba": ({"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 199}, False),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_scored_as_it_reads_a_sequence_alone(family):
    settings, by_trees = FAMILIES[family]
    torch.manual_seed(0)
    config = CONFIG_MAPPING[family](**settings)
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():  # Fresh weights are so small that all tokens look alike.
        parameter.data *= 3
    requests = questions(5, shots=25, prompt=30, vocabulary=199)
    reader = likelihoods(model, Limits(row=40, pack=120, scored=40))
    packs = reader.plan(requests)
    assert all(pack.is_plain != by_trees for pack in packs)
    assert_close(read_all(reader, requests), naive(model, requests))


def test_headers_longer_than_a_sliding_window_are_read_rightly():
    directory = bundled_path("gemma-3-270m")
    config = ModelConfig(engine="hf", cpus=1)
    engine = HFEngine(config, directory=directory, renderer=Renderer(directory))
    assert windows(engine._model.config, 600) == {
        "full_attention": None,
        "sliding_attention": 512,
    }
    # Rows below a header, and a single row, each longer than the window.
    requests = [*questions(2, shots=530, prompt=10, text=6), *questions(1, prompt=560, seed=5)]
    rows = asyncio.run(engine.continuation_logprobs(requests))
    chosen = [0, 5, 11]
    expected = naive(engine._model, [requests[i] for i in chosen])
    assert_close([rows[i] for i in chosen], expected)
    asyncio.run(engine.close())


def test_concurrent_calls_get_their_own_values_and_count_as_steps(engine, reference):
    asked = [questions(1, prompt=10, seed=seed) for seed in range(4)]

    async def calls():
        return await asyncio.gather(*(engine.continuation_logprobs(one) for one in asked))

    before = engine.num_steps
    for rows, one in zip(asyncio.run(calls()), asked, strict=True):
        assert_close(rows, naive(reference, one))
    assert engine.num_steps > before
    assert asyncio.run(engine.continuation_logprobs([])) == []


def test_calls_that_are_cancelled_are_not_read(engine):
    async def calls():
        waiting = asyncio.ensure_future(engine.continuation_logprobs(questions(1, prompt=2000)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await engine.continuation_logprobs(questions(1, prompt=8, text=1))

    before = engine.num_steps
    asyncio.run(calls())
    assert engine.num_steps - before <= 1


def test_a_pack_that_fails_is_an_engine_error_and_the_next_call_is_served(engine):
    outside = ScoreRequest(ids=(5, 10**9, 7), start=1)
    with pytest.raises(EngineError, match="IndexError"):
        asyncio.run(engine.continuation_logprobs([outside]))
    assert len(asyncio.run(engine.continuation_logprobs(questions(1)))) == 4


def test_closing_drops_scoring_under_way_and_refuses_new_calls(directory, renderer):
    engine = HFEngine(ModelConfig(engine="hf"), directory=directory, renderer=renderer)

    async def close_early():
        requests = questions(40, prompt=200)
        call = asyncio.ensure_future(engine.continuation_logprobs(requests))
        while not engine._reads._reading:  # noqa: ASYNC110  (only this test wants to know)
            await asyncio.sleep(0)
        await engine.close()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(EngineError, match="closed"):
            await engine.continuation_logprobs(requests)

    asyncio.run(close_early())
