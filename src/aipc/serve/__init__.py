"""OpenAI's API and a page in the browser, on localhost: the HTTP side and the workers' side.

    HTTP ── Pool ── ModelScheduler ─┬─ FairQueue of PendingRequests
                                    └─ WorkerClient ── WorkerProcess ═ pipe ═ worker ── Session

The HTTP process loads no vendor package: each model on each device lives in a worker process,
which may die while the server lives on.
"""
