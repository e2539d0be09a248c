"""What vLLM is started with, environment and arguments: our defaults, under what the config says.

Doesn't import vLLM, so it can be read and tested without.
"""

from pathlib import Path
from typing import Any

from actors.config import ModelConfig

MIB = 1 << 20
CPU_ARGS: dict[str, Any] = {
    # Eager and an explicit KV size together skip profiling and warm-up.
    "enforce_eager": True,
    "kv_cache_memory_bytes": 512 * MIB,
    # Cache hits are whole blocks: at the default of 128 a short shared prompt never hits.
    "block_size": 32,
    "enable_chunked_prefill": False,
    "max_num_seqs": 64,
}
KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 * MIB),
    "MALLOC_TRIM_THRESHOLD_": str(2048 * MIB),
}
"""Of glibc: what a step frees, its logits above all, stays with the process. Given back, it costs
the next step thousands of page faults."""
GPU_SHARE = 0.85
"""Of a device's memory; a replica on a part of a device takes that part of it."""
CPU_CONTEXT = 4096
"""Longest default context on CPU: unchunked prefill needs a token budget as large as the
context."""


def environment(config: ModelConfig) -> dict[str, str]:
    """Environment variables of the process that will host this engine; they must be set before
    vLLM is imported.
    """
    env = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "INFO", "VLLM_PLUGINS": ""}
    if config.gpus == 0:
        threads = str(max(1, int(config.cpus)))
        env |= {
            # `enforce_eager` doesn't reach the compiled log-probability path, whose first batch
            # takes half a minute.
            "TORCHDYNAMO_DISABLE": "1",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "OMP_NUM_THREADS": threads,
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            **KEEP_MEMORY,
        }
    return env


def engine_args(config: ModelConfig, directory: Path, model_context: int) -> dict[str, Any]:
    """Arguments for vLLM: our defaults for the device, under what the config says."""
    on_cpu = config.gpus == 0
    context = config.context or (min(model_context, CPU_CONTEXT) if on_cpu else model_context)
    args: dict[str, Any] = {
        "model": str(directory),
        "dtype": config.dtype,
        "max_model_len": context,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "seed": 0,
        **(CPU_ARGS if on_cpu else {"gpu_memory_utilization": GPU_SHARE * min(1.0, config.gpus)}),
    }
    if on_cpu:
        args["max_num_batched_tokens"] = max(context, CPU_CONTEXT)
    elif config.nodes > 1:
        args |= {
            "tensor_parallel_size": int(config.gpus) // config.nodes,
            "pipeline_parallel_size": config.nodes,
            "distributed_executor_backend": "ray",
        }
    elif config.gpus > 1:
        # Named, because in a placement group vLLM would take Ray by itself.
        args |= {"tensor_parallel_size": int(config.gpus), "distributed_executor_backend": "mp"}
    return args | config.args
