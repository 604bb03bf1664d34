"""PostgreSQL keeps the contract of storage, beside other processes on the same database."""

from collections.abc import Iterator

import pytest
from tests.contract.store_close_contract import CloseContract
from tests.contract.store_contract import Engine, StoreContract
from tests.contract.store_keys_contract import KeysContract
from tests.contract.store_trim_contract import TrimContract
from tests.harness.postgres import cluster

from indelible.store.base import Store
from indelible.store.postgres import PostgresStore


class TestPostgres(StoreContract, KeysContract, CloseContract, TrimContract):
    """`PostgresStore` in a fresh database."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """Open on a database of this test; what is left open is closed."""
        url = cluster().create()
        stores: list[PostgresStore] = []

        def start() -> Store:
            stores.append(PostgresStore(url))
            return stores[-1]

        yield Engine(start)
        for store in stores:
            store.close()
