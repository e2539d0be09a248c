"""The peer of driver_cost: vLLM's `LLM.generate` over all requests of a run, in this process.

    env ENGINE'S_VARIABLES python -m tests.bench.plain_vllm CONFIG [KEY=VALUE]...

Takes the config of a `rank` run and makes of it the very requests that the run makes: the same
token ids, sampling parameters, seeds and engine arguments. No Ray, no driver, no grading, no
records. The last line printed is JSON: seconds and tokens of the one `generate` call.
"""

import json
import os
import sys
import time
from typing import Any

from actors.engines import environment
from actors.engines.vllm import engine_args
from actors.engines.vllm_args import KEEP_MEMORY
from actors.generator import candidate_seed
from actors.models import context_length, resolve
from actors.types import Message
from pipelines.config import load
from pipelines.job import Job, prepare


def main() -> None:
    """Generate everything once, after a small warm-up."""
    job = prepare(load(sys.argv[1], sys.argv[2:]))
    model = job.config.models[job.config.roles.generator]
    unset = environment(model).items() - KEEP_MEMORY.items() - os.environ.items()
    if unset:
        # Libraries read them as they load, and a peer without them is slower and proves nothing.
        sys.exit(f"set these before Python starts: {dict(unset)}")
    from vllm import LLM, SamplingParams

    from actors.rendering import Renderer

    directory = resolve(model).path
    renderer = Renderer(directory, template=model.template)
    args = engine_args(model, directory, context_length(directory))
    llm = LLM(**args)
    prompts, params = requests(job, renderer, args["max_model_len"])
    warm = renderer.render([Message(role="user", content="Count from one to ten.")])
    llm.generate(
        [{"prompt_token_ids": warm}] * 4,
        [SamplingParams(max_tokens=8, seed=i, logprobs=0, detokenize=False) for i in range(4)],
        use_tqdm=False,
    )
    begin = time.monotonic()
    outputs = llm.generate(prompts, params, use_tqdm=False)
    seconds = time.monotonic() - begin
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    print("\n" + json.dumps({"seconds": seconds, "tokens": tokens, "requests": len(outputs)}))


def requests(job: Job, renderer: Any, context: int) -> tuple[list[dict[str, Any]], list[Any]]:
    """Prompts and their sampling parameters, greedy before draws, item after item."""
    from vllm import SamplingParams

    config, name = job.method_config, job.config.roles.generator
    sampling = config.sampling
    prompts, params = [], []
    for item in job.task.items():
        ids = renderer.render(item.messages)
        draws = [candidate_seed(job.config.seed, item.id, name, i) for i in range(config.n)]
        for seed in [None, *draws] if config.greedy else draws:
            greedy = seed is None
            prompts.append({"prompt_token_ids": ids})
            params.append(
                SamplingParams(
                    temperature=0.0 if greedy else sampling.temperature,
                    top_p=1.0 if greedy else sampling.top_p,
                    top_k=0 if greedy else sampling.top_k,
                    repetition_penalty=sampling.repetition_penalty,
                    seed=seed,
                    max_tokens=min(sampling.max_tokens, context - len(ids)),
                    stop_token_ids=list(renderer.stop_token_ids),
                    logprobs=0,
                    detokenize=False,
                )
            )
    return prompts, params


if __name__ == "__main__":
    main()
