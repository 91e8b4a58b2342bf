"""Requests that share a decoder, computed by one thread of their own.

Each of its rounds computes a piece of one prompt, and then a token of every answer in one call.
Only that thread touches the cache, so a reader that is slow, interrupted or gone holds up nobody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

import numpy as np

from aipc.errors import AipcError, EngineError
from aipc.runtimes.base import Decoding
from aipc.runtimes.onnx.decoder import CacheRows, Decoder, Logits
from aipc.runtimes.onnx.guided import Grammar
from aipc.runtimes.onnx.row_pool import Row, RowPool
from aipc.runtimes.onnx.sequence import crosses, even_piece
from aipc.runtimes.prompt_lookup import LookupText, PromptLookup
from aipc.runtimes.sampler import Sampler, Scores, logprobs_of
from aipc.runtimes.token_queue import TokenChunk, TokenQueue
from aipc.runtimes.vendor_errors import again, broken, translated


class RowRequest:
    """One request: how its tokens are chosen, and where they wait until they are read."""

    def __init__(
        self,
        prompt: Sequence[int],
        decoding: Decoding,
        stop_ids: frozenset[int],
        grammar: Grammar | None,
        lookup: PromptLookup | None,
    ) -> None:
        self.prompt = list(prompt)
        self.left = decoding.max_new_tokens
        self.adapter = decoding.adapter
        self.is_cancelled = False
        self.cached_tokens = 0
        """Of the prompt, that its row held already."""
        self._sampler = Sampler(decoding, prompt)
        self._stop_ids = stop_ids
        self.grammar = grammar
        self._text = None if lookup is None else LookupText(lookup, prompt)
        self._decoding = decoding
        self._made: list[TokenChunk] = []
        self._arrivals = TokenQueue(whole=decoding.whole)

    @property
    def has_ended(self) -> bool:
        return self.is_cancelled or self.left == 0

    def read(self) -> TokenChunk:
        """Wait for the next token; none at the end, for ever.

        Raises:
            AipcError: the request failed.
        """
        return self._arrivals.read()

    def cancel(self) -> None:
        """Wake who reads, and free what it holds after the call under way; returns at once."""
        self.is_cancelled = True
        self._arrivals.end()

    def choose(self, scores: Scores) -> int:
        """The next token by ``scores`` [vocabulary]; its reader gets it with `deliver`."""
        if self.grammar is None:
            token = self._sampler.choose(scores)
        else:
            token = self.grammar.choose(self._sampler.rank(scores))
            self._sampler.note(token)
        if self._text is not None:
            self._text.add(token)
        self.left = 0 if token in self._stop_ids else self.left - 1
        chunk = TokenChunk([token], [])
        if self._decoding.logprobs:
            share, top = logprobs_of(scores, token, self._decoding.top_logprobs)
            chunk = TokenChunk([token], [share], [top])
        self._made.append(chunk)
        return token

    def deliver(self) -> None:
        """Pass on what was chosen; when all is computed, so that no reader holds up the others."""
        for chunk in self._made:
            self._arrivals.put(chunk)
        self._made.clear()
        if self.left == 0:
            self._arrivals.end()

    def guess(self) -> list[int]:
        """What may follow the token chosen last."""
        return [] if self._text is None else self._text.guess()[: self.left - 1]

    def fail(self, error: AipcError) -> None:
        """End with an error, after the tokens that were chosen before."""
        self.deliver()
        self._arrivals.fail(error)
        self.left = 0


class RowBatch:
    """Computes while there are requests; idle, its thread sleeps.

    Those for which there is no row or no memory wait their turn, first come first served.
    """

    def __init__(self, decoder: Decoder, pool: RowPool) -> None:
        self._decoder = decoder
        self._pool = pool
        self._changed = threading.Condition()
        self._waiting: deque[RowRequest] = deque()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._failure: EngineError | None = None

    def add(self, request: RowRequest) -> None:
        """Begin a request as soon as there is room.

        Raises:
            EngineError: closed, or the thread has failed for good.
        """
        with self._changed:
            if self._is_closed:
                raise EngineError("the model has been closed", "load it again")
            if self._failure is not None:
                raise again(self._failure)
            self._waiting.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="aipc-batch", daemon=True)
                self._thread.start()
            self._changed.notify()

    def scores(self, ids: Sequence[int]) -> Iterator[Scores]:
        """Scores [places, vocabulary] of a text, in pieces; in the thread that asks.

        Raises:
            EngineError: the memory does not hold it.
        """
        self._pool.check_memory(len(ids), len(ids))
        cache = CacheRows(self._decoder.graph, 1, len(ids))
        is_whole = crosses(0, len(ids), self._pool.switch)
        size = len(ids) if is_whole else even_piece(len(ids), self._pool.piece)
        for start in range(0, len(ids), size):
            logits = self._decoder.compute(cache, 0, [ids[start : start + size]], [start])
            yield logits[0].astype(np.float32)

    def close(self) -> None:
        """End every request, after the call under way."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        try:
            with translated("the batch failed"):
                while self._wait():
                    self._free()
                    self._admit()
                    self._step()
        except EngineError as error:
            self._failure = broken(error)
        for request in self._all():
            if self._failure is None:
                request.cancel()
            else:
                request.fail(again(self._failure))

    def _wait(self) -> bool:
        """For something to compute; False when closed."""
        with self._changed:
            if not (self._waiting or self._pool.is_busy):
                self._pool.trim()
            while not (self._is_closed or self._waiting or self._pool.is_busy):
                self._changed.wait()
            return not self._is_closed

    def _free(self) -> None:
        """Between two calls, as rows change their places."""
        for row in list(self._pool.rows):
            if row.request is not None and row.request.has_ended:
                self._pool.release(row)

    def _admit(self) -> None:
        """Give rows to those who wait, as far as there are."""
        while self._waiting:
            request = self._waiting[0]
            if not request.is_cancelled and not self._begin(request):
                break
            self._waiting.popleft()

    def _begin(self, request: RowRequest) -> bool:
        """Whether it need not wait any more."""
        try:
            with translated("ONNX Runtime refused the request"):
                most = len(request.prompt) + request.left
                row = self._pool.take(request.prompt, most, request.adapter)
        except AipcError as error:
            request.fail(error)
            return True
        if row is None:
            return False
        row.request, request.cached_tokens = request, len(row.tokens)
        self._set_pending(row, request.prompt[len(row.tokens) :])
        return True

    def _set_pending(self, row: Row, tokens: list[int]) -> None:
        """Have ``tokens`` computed as a prompt is, all anew where they cross the rotary switch."""
        row.pending, row.piece = tokens, even_piece(len(tokens), self._pool.piece)
        if crosses(len(row.tokens), len(tokens), self._pool.switch):
            row.pending, row.tokens = row.tokens + tokens, []
            row.piece = len(row.pending)

    def _step(self) -> None:
        prompts = [row for row in self._pool.rows if row.request is not None and not row.decodes]
        if prompts:
            self._attempt(prompts[:1], partial(self._read_prompt, prompts[0]))
            if prompts[0].request.left == 0:  # those that go on stay side by side
                self._pool.end_decoding(prompts[0])
        for row in self._pool.decoding:
            if crosses(len(row.tokens), 1, self._pool.switch):
                self._pool.end_decoding(row)
                self._set_pending(row, row.pending)
        for rows in self._calls():
            self._attempt(rows, partial(self._decode, rows))
        for row in self._pool.rows:
            if row.request is not None:
                row.request.deliver()

    def _calls(self) -> list[list[Row]]:
        """The rows that decode, as they can be computed together: one rotary table a call."""
        decoding, switch = self._pool.decoding, self._pool.switch
        if switch is None:
            return [decoding] if decoding else []
        groups = groupby(decoding, lambda row: len(row.tokens) > switch)
        return [list(rows) for _, rows in groups]

    def _read_prompt(self, row: Row) -> None:
        piece, row.pending = row.pending[: row.piece], row.pending[row.piece :]
        logits = self._compute([row], [piece])
        if not row.pending:
            self._pool.begin_decoding(row)
            self._choose(row, logits[0, -1])

    def _decode(self, rows: list[Row]) -> None:
        if len(rows) == 1:
            self._decode_ahead(rows[0])
            return
        logits = self._compute(rows, [row.pending for row in rows])
        for row, scores in zip(rows, logits[:, -1], strict=True):
            if row.request.grammar is None:
                self._choose(row, scores)
            else:
                self._attempt([row], partial(self._choose, row, scores))

    def _decode_ahead(self, row: Row) -> None:
        """Compute a guess along, and keep as much of it as is chosen."""
        guess = row.request.guess()
        if crosses(len(row.tokens), 1 + len(guess), self._pool.switch):
            guess = []
        logits = self._compute([row], [row.pending + guess])
        sure = len(row.tokens) - len(guess)
        for at, scores in enumerate(logits[0]):
            self._choose(row, scores)
            if row.request.left == 0 or row.pending != guess[at : at + 1]:
                del row.tokens[sure + at :]
                break

    def _compute(self, rows: list[Row], tokens: Sequence[list[int]]) -> Logits:
        lengths = [len(row.tokens) for row in rows]
        first, adapters = self._pool.at(rows[0]), [row.adapter for row in rows]
        logits = self._decoder.compute(self._pool.cache, first, tokens, lengths, adapters)
        for row, more in zip(rows, tokens, strict=True):
            row.tokens += more
        return logits

    def _choose(self, row: Row, scores: Scores) -> None:
        row.pending = [row.request.choose(scores.astype(np.float32, copy=False))]

    def _attempt(self, rows: list[Row], work: Callable[[], None]) -> None:
        """What goes wrong ends the requests that it happens to, and what is in their rows."""
        try:
            with translated("ONNX Runtime failed while generating"):
                work()
        except AipcError as error:
            for row in rows:
                row.request.fail(again(error))
                row.tokens = []

    def _all(self) -> list[RowRequest]:
        with self._changed:
            waiting, self._waiting = list(self._waiting), deque()
        running = [row.request for row in self._pool.rows if row.request is not None]
        self._pool.rows.clear()
        return [*running, *waiting]
