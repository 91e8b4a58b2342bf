"""OpenAI's API and a page in the browser, on localhost: the HTTP side and the workers' side.

    HTTP ── Pool ── HostedModel ─┬─ Line of Visits
                                 └─ LoadedModel ── WorkerProcess ═ pipe ═ worker ── Session

The HTTP process loads no vendor package: each model on each device lives in a worker process,
which may die without taking the server along.
"""
