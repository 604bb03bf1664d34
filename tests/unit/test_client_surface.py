"""What users of the SDK can import is contract: a name that goes is a break, one that comes is meant."""

import inspect

import indelible.client


def test_exported_members() -> None:
    """The public surface is exactly this list, in this order, and each name is there."""
    assert indelible.client.__all__ == [
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
    assert all(hasattr(indelible.client, name) for name in indelible.client.__all__)


def test_methods_of_the_client() -> None:
    """One method for each call of the contract."""
    methods = {
        name
        for name, _ in inspect.getmembers(indelible.client.Client, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods == {
        "append", "append_batch", "append_ndjson", "catalogue", "check_history", "check_receipt",
        "checkpoint", "close", "consistency", "create_key", "create_log", "create_workspace", "delete_view",
        "deploy", "deployment_checkpoint", "deployment_keys", "event", "events", "evidence",
        "follow_events", "head_proof", "inclusion", "keys", "log", "log_keys", "logs", "payload", "proof",
        "proof_of", "publish_proofs", "put_component", "query", "query_evidence", "range_proof",
        "read_lines", "ready", "revoke_key", "roll_back", "rotate_key", "stream_events", "versions", "view",
        "views", "workspaces",
    }  # fmt: skip
