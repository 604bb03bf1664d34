"""PostgreSQL keeps the contract of storage, beside other processes on the same database."""

from collections.abc import Iterator

import pytest
from tests.contract.store_close_contract import CloseContract
from tests.contract.store_contract import Engine, StoreContract
from tests.contract.store_keys_contract import KeysContract
from tests.contract.store_trim_contract import TrimContract
from tests.harness.postgres import cluster
from tests.harness.postgres_versions import NEWEST, OLDEST

from indelible.store.base import Store
from indelible.store.postgres import PostgresStore


class TestPostgres(StoreContract, KeysContract, CloseContract, TrimContract):
    """`PostgresStore` in a fresh database of the system's PostgreSQL, and of other versions."""

    @pytest.fixture(params=[None, OLDEST, NEWEST])
    def engine(self, request: pytest.FixtureRequest) -> Iterator[Engine]:
        """Open on a database of this test; what is left open is closed."""
        url = cluster(request.param).create()
        stores: list[PostgresStore] = []

        def start() -> Store:
            stores.append(PostgresStore(url))
            return stores[-1]

        yield Engine(start)
        for store in stores:
            store.close()
