"""Reads given sequences with transformers: what they share is read once.

    requests --plan--> packs --read: header from the cache, rows of trees--> output of the nodes
                                                          read off --> a value for each scored token

What the output is and which value is taken from it, a subclass says: log-probabilities
(`actors.engines.scoring`), hidden states (`actors.engines.features`).

A model for which trees of tokens aren't right reads plain rows instead: each distinct sequence
whole, padded on the right. Which it is, its config says first; then a few tokens are read both ways
and compared, since not every model does what its config says.
"""

import logging
import threading
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from transformers import Cache, DynamicCache, DynamicLayer

from actors.engines.base import ScoreRequest
from actors.engines.headers import Headers
from actors.engines.masks import scales_by_length, tree_mask, windows
from actors.engines.packing import chains, plan
from actors.engines.passes import PackReader
from actors.engines.trees import Layout, Pack, Pick, Row, build, lay_out
from actors.types import EngineError

logger = logging.getLogger(__name__)

V = TypeVar("V")

Picks = list[tuple[int, Pick]]
"""What is read off one row, each with its column."""

KeysValues = list[tuple[torch.Tensor, torch.Tensor]]
"""Of each layer, for one sequence. [1][head][T][dim]"""

NUM_HEADERS = 8
HEADER_TOKENS = 8192


class _Borrowed(DynamicLayer):  # type: ignore[misc]
    """The header's part of one layer: every row goes on from it, and none adds to it."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the header and the rows, kept nowhere."""
        num_rows = len(key_states)
        keys = torch.cat([self.keys.expand(num_rows, -1, -1, -1), key_states], dim=2)
        values = torch.cat([self.values.expand(num_rows, -1, -1, -1), value_states], dim=2)
        return keys, values


class Reader(PackReader[V]):
    """Reads sequences with one model; see `PackReader`."""

    def __init__(self, model: Any, closed: threading.Event, *, width: int) -> None:
        super().__init__(model, closed, width=width)
        self._headers: Headers[KeysValues] = Headers(NUM_HEADERS, HEADER_TOKENS)
        self._reads_trees: bool | None = None
        """None: not tried yet."""

    @abstractmethod
    def _output(self, num_kept: int, **inputs: Any) -> torch.Tensor:
        """The model's output of the last `num_kept` columns. [row][column][width]"""

    @abstractmethod
    def _values(self, output: torch.Tensor, picks: Picks) -> Iterator[tuple[Pick, V]]:
        """The value of each pick of a row. output: [column][width]"""

    @abstractmethod
    def _is_noise(self, values: Sequence[V], others: Sequence[V]) -> bool:
        """Whether two ways to read the same tokens differ by rounding only."""

    def plan(self, requests: Sequence[ScoreRequest]) -> list[Pack]:
        """Packs that together hold each request once."""
        longest = max(len(request.ids) for request in requests)
        if windows(self._model.config, longest) is not None and self._tree_is_right():
            packs = plan(requests, self._headers.known, self._limits)
            self._headers.see(request.ids[: request.start - 1] for request in requests)
            return packs
        num = min(self._limits.pack, self._limits.scored)
        alone = scales_by_length(self._model.config)
        return chains(requests, replace(self._limits, pack=1 if alone else num))

    def _read(self, pack: Pack) -> dict[int, tuple[V, ...]]:
        output, picks = self._plain(pack.rows) if pack.is_plain else self._tree(pack)
        values: dict[int, dict[int, V]] = defaultdict(dict)
        for row_output, row_picks in zip(output, picks, strict=True):
            for pick, value in self._values(row_output, row_picks):
                values[pick.request][pick.offset] = value
        return {
            request: tuple(value for _, value in sorted(found.items(), key=lambda one: one[0]))
            for request, found in values.items()
        }

    def _tree(self, pack: Pack) -> tuple[torch.Tensor, list[Picks]]:
        """The output of the nodes that are read off, [row][column], and what to read off."""
        past = self._past(pack.header)
        cache = Cache(layers=[_Borrowed(*layer) for layer in past]) if past else None
        layout = lay_out(pack.rows)
        return self._forward(layout, len(pack.header), cache), layout.picks

    def _past(self, header: tuple[int, ...]) -> KeysValues:
        """What the rows of a header go on from: kept, or read now and kept."""
        kept, num_kept = self._headers.best(header)
        past = [(keys[:, :, :num_kept], values[:, :, :num_kept]) for keys, values in kept or ()]
        if num_kept == len(header):
            return past
        cache = DynamicCache()
        for index, (keys, values) in enumerate(past):
            cache.update(keys, values, index)
        for begin in range(num_kept, len(header), self._limits.pack):
            tokens = list(header[begin : begin + self._limits.pack])
            row = Row(
                ids=tokens,
                positions=list(range(begin, begin + len(tokens))),
                ends=[len(tokens)] * len(tokens),
                picks=[],
                members=(),
                num_scored=0,
            )
            self._forward(lay_out([row]), begin, cache)
        past = [(layer.keys, layer.values) for layer in cache.layers]
        self._headers.keep(header, past)
        return past

    def _forward(self, layout: Layout, num_past: int, cache: Cache | None) -> torch.Tensor:
        firsts, ends, positions = map(self._tensor, (layout.firsts, layout.ends, layout.positions))
        seen = windows(self._model.config, int(positions.max()) + 1)
        assert seen is not None, "this model reads plain rows"
        masks = {
            name: tree_mask(
                firsts,
                ends,
                positions,
                num_past=num_past,
                window=window,
                dtype=self._model.dtype,
            )
            for name, window in seen.items()
        }
        return self._call(
            max(1, layout.num_scored),
            input_ids=self._tensor(layout.ids),
            # A model whose layers are all alike may not know the form with names.
            attention_mask=masks if len(masks) > 1 else next(iter(masks.values())),
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )

    def _plain(self, rows: Sequence[Row]) -> tuple[torch.Tensor, list[Picks]]:
        """As `_tree`, for rows of one sequence each: padded on the right, where nothing looks."""
        longest = max(len(row.ids) for row in rows)
        first = min(pick.node for row in rows for pick in row.picks)
        output = self._call(
            longest - first,
            **self._padded(rows),
            position_ids=self._tensor([range(longest)] * len(rows)),
            use_cache=False,
        )
        return output, [[(pick.node - first, pick) for pick in row.picks] for row in rows]

    def _call(self, num_kept: int, **inputs: Any) -> torch.Tensor:
        self._step()
        return self._output(num_kept, **inputs)

    def _tree_is_right(self) -> bool:
        """Whether the model reads a small tree as it reads the sequences alone."""
        if self._reads_trees is None:
            with torch.inference_mode():
                self._reads_trees = self._try_tree()
            if not self._reads_trees:
                logger.warning("this model doesn't read trees of tokens rightly: rows are plain")
        return self._reads_trees

    def _try_tree(self) -> bool:
        vocabulary = self._model.config.get_text_config().vocab_size
        ids = tuple((7919 * i + 13) % vocabulary for i in range(60))
        sequences = (ids[:30], ids[:12] + ids[30:45], ids[:9] + ids[45:])
        requests = [ScoreRequest(ids=sequence, start=8) for sequence in sequences]
        rows = (build(requests, 5, [[0, 1]]), build(requests, 5, [[2]]))
        plain: dict[int, tuple[V, ...]] = {}
        for pack in chains(requests, self._limits):
            plain |= self._read(pack)
        try:
            trees = self._read(Pack(header=ids[:5], rows=rows))
        except EngineError:
            raise
        except Exception:  # What it can't do, a model says in a way of its own.
            logger.info("a tree of tokens was refused", exc_info=True)
            return False
        finally:
            self._headers.clear()
        both = ([value for i in sorted(read) for value in read[i]] for read in (trees, plain))
        return self._is_noise(*both)

    def _make_room(self, *, shrink: bool) -> None:
        self._headers.clear()
        super()._make_room(shrink=shrink)
