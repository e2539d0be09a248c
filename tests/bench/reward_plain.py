"""The loop that cards of reward models show: batches of 32 rows in the order of the data, padded.

    env OMP_NUM_THREADS=N python -m tests.bench.reward_plain MODEL DTYPE ROWS.jsonl

The last line printed is JSON: seconds from the first row to the last score, tokenizing included,
and the scores.
"""

import json
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

BATCH = 32


def main(directory: str, dtype: str, path: str) -> None:
    """Score everything once."""
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    tokenizer = AutoTokenizer.from_pretrained(directory)
    # Where it is an end token too, transformers takes the score of the token before it.
    tokenizer.pad_token = "<|padding|>"
    tokenizer.padding_side = "right"
    model = AutoModelForSequenceClassification.from_pretrained(directory, dtype=dtype).eval()
    model.resize_token_embeddings(len(tokenizer) + 1)
    model.config.pad_token_id = tokenizer.pad_token_id
    scores: list[float] = []
    begin = time.monotonic()
    for first in range(0, len(rows), BATCH):
        texts = [
            tokenizer.apply_chat_template(
                [
                    {"role": "user", "content": row["prompt"]},
                    {"role": "assistant", "content": row["response"]},
                ],
                tokenize=False,
            )
            for row in rows[first : first + BATCH]
        ]
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.no_grad():
            scores += model(**batch).logits[:, 0].float().tolist()
    print(json.dumps({"seconds": time.monotonic() - begin, "scores": scores}))


if __name__ == "__main__":
    main(*sys.argv[1:])
