"""The small real model answers a batch whose server is killed, and a question beside it."""

from __future__ import annotations

from batches_of import client_of, create, line, lines_of, until, until_ended
from served import served

MODEL = "smollm2-135m"


def test_a_batch_outlives_its_server(small_store, smollm_gguf):
    lines = [
        line(f"id-{n}", f"Count to {n}.", model=MODEL, max_tokens=48, temperature=0)
        for n in range(6)
    ]
    arguments = ("--device", "cpu", "--runtime", "openvino", "--max-running", "2")
    with served(small_store, *arguments) as running, client_of(running.url) as api:
        made = create(api, *lines)
        until(lambda: api.batches.retrieve(made.id).request_counts.completed >= 2)
        running.process.kill()
    with served(small_store, *arguments) as running, client_of(running.url) as api:
        question = [{"role": "user", "content": "Hello"}]
        reply = api.chat.completions.create(model=MODEL, messages=question, max_tokens=4)
        assert reply.usage.completion_tokens > 0
        done = until_ended(api, made)
        assert (done.status, done.request_counts.completed) == ("completed", 6)
        answers = lines_of(api, done.output_file_id)
        assert [one["custom_id"] for one in answers] == [one["custom_id"] for one in lines]
        told = [one["response"]["body"]["usage"]["completion_tokens"] for one in answers]
        assert done.usage.output_tokens == sum(told)
        for file_id in (made.input_file_id, done.output_file_id):
            api.files.delete(file_id)
