"""The SDK: an HTTP client and what checks a log without trusting its server."""

from indelible.client.client import DEFAULT_URL, Client
from indelible.client.continuity import Sighting
from indelible.client.errors import HistoryChanged, NotProved, PinsUnusable, UnexpectedAnswer, Unreachable
from indelible.client.pins import Pin, PinStore
from indelible.client.results import (
    Answer,
    BatchReceipt,
    ConsistencyProof,
    Event,
    EventPage,
    Head,
    InclusionProof,
    Key,
    Log,
    LogKey,
    Receipt,
    Report,
    Version,
    View,
    Workspace,
)
from indelible.client.transport import Retry
from indelible.client.trust import key_history
from indelible.client.verify import (
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
    verify_proof,
    verify_receipt,
)
from indelible.model.errors import Problem
from indelible.notes.statements import KeyHistory

__all__ = [
    "DEFAULT_URL",
    "Answer",
    "BatchReceipt",
    "Client",
    "ConsistencyProof",
    "Event",
    "EventPage",
    "Head",
    "HistoryChanged",
    "InclusionProof",
    "Key",
    "KeyHistory",
    "Log",
    "LogKey",
    "NotProved",
    "Pin",
    "PinStore",
    "PinsUnusable",
    "Problem",
    "Receipt",
    "Report",
    "Retry",
    "Sighting",
    "UnexpectedAnswer",
    "Unreachable",
    "Version",
    "View",
    "Workspace",
    "key_history",
    "verify_checkpoint",
    "verify_consistency",
    "verify_inclusion",
    "verify_proof",
    "verify_receipt",
]
