from pool_fixtures import (  # noqa: F401 - fixtures
    _workers_find_the_fake,
    answer_of,
    fake_pool,
    fake_registry,
    request_of,
    run_async,
)
