"""Laying archived rows and events into an empty store, through the same contract as every commit."""

from collections.abc import Sequence

from indelible.log.archive_manifest import ArchiveError
from indelible.log.archive_state import State
from indelible.log.chunk import Chunk
from indelible.log.idempotency import epoch_of
from indelible.log.segment import Ref, SegmentError, decode_segment, rebuilt
from indelible.merkle.frontier import EMPTY_FRONTIER, encode_frontier, extend, root
from indelible.model.instants import MICROS_PER_SECOND
from indelible.model.limits import Limits
from indelible.model.types import LogInfo
from indelible.service.logs import EMPTY_HEAD
from indelible.store.base import HeadRow, NodeRow, Store, Transaction


class Layer:
    """Fills a store; one log after the other, each from its first event on.

    Args:
        store: empty, but for what names the deployment.
        limits: how long idempotency keys are remembered.
        now: µs since 1970; keys that are older than that long are left out.
    """

    def __init__(self, store: Store, limits: Limits, now: int) -> None:
        self._store = store
        self._oldest_epoch = epoch_of(now - limits.idempotency_seconds * MICROS_PER_SECOND)
        self._log: int | None = None
        self._frontier = EMPTY_FRONTIER

    @property
    def size(self) -> int:
        """How many events of the log were laid."""
        return self._frontier.size

    @property
    def root(self) -> bytes:
        """The root that they lead to."""
        return root(self._frontier)

    def rows(self, states: Sequence[State]) -> dict[str, LogInfo]:
        """Lay all rows but events, in the order in which they were made; the logs by their ids."""
        infos: dict[str, LogInfo] = {}
        keys: dict[int, int] = {}
        numbers: dict[int, int] = {}
        with self._store.transaction() as transaction:
            for state in sorted(states, key=lambda state: state.workspace.key):
                row = state.workspace
                numbers[row.key] = transaction.add_workspace(row.workspace_id, row.name, row.created)
            for info in sorted((info for state in states for info in state.logs), key=lambda info: info.key):
                moved = info._replace(workspace=numbers[info.workspace])
                keys[info.key] = transaction.add_log(moved, EMPTY_HEAD)
                infos[str(info.log_id)] = moved._replace(key=keys[info.key])
            for state in states:
                _others(transaction, state, numbers, keys)
        return infos

    def events(self, info: LogInfo, ref: Ref, data: bytes, time_floor: int) -> None:
        """Lay the events of the next segment of a log.

        Raises:
            ArchiveError: it is damaged, or does not follow.
        """
        if info.key != self._log:
            self._log, self._frontier = info.key, EMPTY_FRONTIER
        try:
            segment = decode_segment(data, len(data) * 1_100 + 1)  # deflate makes nothing smaller than that
            if segment.header.first != self.size + 1:
                raise SegmentError(f"it begins at event {segment.header.first}, not at {self.size + 1}")
            with self._store.transaction() as transaction:
                for run in segment.runs:
                    self._run(transaction, info.key, run)
                head = HeadRow(
                    self.size, segment.runs[-1].time, time_floor, self.root, encode_frontier(self._frontier)
                )
                transaction.put_head(info.key, head)
                self._keys(transaction, segment.runs)
        except ValueError as error:
            raise ArchiveError(f"{ref.key}: {error}") from None

    def _run(self, transaction: Transaction, log: int, run: Chunk) -> None:
        row, leaves = rebuilt(run)
        growth = extend(self._frontier, leaves)
        transaction.put_chunk(log, row)
        if growth.stored:
            transaction.put_nodes(log, [NodeRow(*node) for node in growth.stored])
        self._frontier = growth.frontier

    def _keys(self, transaction: Transaction, runs: Sequence[Chunk]) -> None:
        """Remember the idempotency keys that a server would still know."""
        by_epoch: dict[int, dict[bytes, int]] = {}
        for run in runs:
            epoch = epoch_of(run.time)
            if run.keys and epoch >= self._oldest_epoch:
                found = by_epoch.setdefault(epoch, {})
                found.update({use.digest: run.first + use.offset for use in run.keys})
        for epoch, rows in by_epoch.items():
            transaction.merge_keys(epoch, sorted(rows.items()), 0)


def _others(transaction: Transaction, state: State, workspaces: dict[int, int], logs: dict[int, int]) -> None:
    for log_key in state.log_keys:
        transaction.add_log_key(log_key._replace(log=logs[log_key.log]))
    for key in state.keys:
        transaction.add_key(key._replace(workspace=workspaces[key.workspace]))
    for view in state.views:
        transaction.add_view(view._replace(log=logs[view.log]))
