"""driver_cost: what Lilliput's driver, cluster and records cost in generation throughput.

Measured   tokens per second of the generation phase of `lilliput run`, from run.json's timing:
           the packaged GSM8K rows, greedy and 8 draws each, at most 128 tokens, no scorers. Grading
           and committing are in that time.
Against    vLLM's own `LLM.generate` in one plain process on both cores: same engine arguments,
           vLLM and OpenMP variables, token ids, sampling parameters and seeds, all requests handed
           over at once (plain_vllm.py). Then the same process with the memory settings as well that
           Lilliput gives its replicas (`vllm_args.KEEP_MEMORY`).
Reading    one replica of 2 CPUs: at least 0.95, the driver costs at most a twentieth of what a user
           of vLLM has. Two replicas of 1 CPU: above 1, what two small engines gain over one large
           one. Against the process with Lilliput's settings: what Ray, the driver and the records
           take from an engine on the same two cores.

One small run of each warms the disk cache. The plain process is warmed once more inside; a replica
is not, so its first batch counts against Lilliput. The four take turns.
"""

import json
from collections.abc import Iterator, Mapping

from actors.engines import environment
from actors.engines.vllm_args import KEEP_MEMORY
from pipelines.config import load
from tests.bench.measure import LILLIPUT, PYTHON, Result, Scale, Side, finish, lilliput_run, shown

CONFIG = "tests/bench/gsm8k.yaml"
ONE = ("models.small.replicas=1", "models.small.cpus=2")
TWO = ("models.small.replicas=2", "models.small.cpus=1")
WARM_UP = ("task.limit=2", "pipeline.n=1")
REPEATS = 3
NONE: Mapping[str, str] = {}


def measure(scale: Scale) -> Iterator[Result]:
    """Three results, in tokens per second."""
    limit = () if scale.items is None else (f"task.limit={scale.items}",)
    one = Side(command=shown(LILLIPUT, "run", CONFIG, *ONE, *limit))
    two = Side(command=shown(LILLIPUT, "run", CONFIG, *TWO, *limit))
    peer = Side(command=shown(*_plain(*limit)))
    tuned = Side(command=shown(*_plain(*limit, settings=KEEP_MEMORY)))
    lilliput_run(CONFIG, *ONE, *WARM_UP)
    finish(_plain(*WARM_UP))
    for _ in range(scale.repeats or REPEATS):
        for side, placement in ((one, ONE), (two, TWO)):
            _, timing = lilliput_run(CONFIG, *placement, *limit)
            side.values.append(timing["tokens"] / timing["run_seconds"])
        for side, settings in ((peer, NONE), (tuned, KEEP_MEMORY)):
            said = json.loads(finish(_plain(*limit, settings=settings)).output.splitlines()[-1])
            side.values.append(said["tokens"] / said["seconds"])
    unit = "tokens/s"
    yield Result(what="one replica, 2 CPUs", unit=unit, ours=one, other=peer, at_least=0.95)
    yield Result(what="two replicas, 1 CPU each", unit=unit, ours=two, other=peer, at_least=1.0)
    yield Result(what="one replica, same memory settings", unit=unit, ours=one, other=tuned)


def _plain(*changes: str, settings: Mapping[str, str] = NONE) -> list[str]:
    """The peer's command, with the variables of the engine's process, and `settings`."""
    env = environment(load(CONFIG, ONE).models["small"])
    kept = {key: value for key, value in env.items() if key not in KEEP_MEMORY} | dict(settings)
    variables = [f"{key}={value}" for key, value in kept.items()]
    return ["env", *variables, PYTHON, "-m", "tests.bench.plain_vllm", CONFIG, *ONE, *changes]
