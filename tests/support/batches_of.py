"""Batches as OpenAI's client makes them, and what came of them."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

import openai

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "cancelled", "expired")


@contextmanager
def client_of(url, key="none"):
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        yield client


def line(custom_id, text="hello", url=CHAT, model="fake", **body):
    body = {"model": model, "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def jsonl(lines):
    return "".join(json.dumps(one) + "\n" for one in lines).encode()


def upload(api, *lines):
    return api.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch").id


def create(api, *lines, endpoint=CHAT, **more):
    return api.batches.create(
        input_file_id=upload(api, *lines), endpoint=endpoint, completion_window="24h", **more
    )


def until(condition, limit_s=60.0):
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)
    return found


def until_ended(api, batch):
    def ended():
        now = api.batches.retrieve(batch.id)
        return now if now.status in ENDED else None

    return until(ended)


def lines_of(api, file_id):
    return [json.loads(one) for one in api.files.content(file_id).text.splitlines()]


def content_of(answer):
    return answer["response"]["body"]["choices"][0]["message"]["content"]
