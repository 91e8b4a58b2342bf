"""The fixtures of a pool of real workers."""

from pool_fixtures import (  # noqa: F401 - fixtures
    _workers_find_the_fake,
    fake_pool,
    fake_registry,
    run_async,
)
