"""Reading the witness policy of a deployment, and finding the logs that it names."""

from pathlib import Path

import structlog

from indelible.model.limits import Limits
from indelible.model.names import parse_uuid
from indelible.model.types import LogInfo
from indelible.notes.policy import WitnessPolicy, parse_policy
from indelible.store.base import Reader


def read_policy(path: Path, limits: Limits) -> WitnessPolicy:
    """Read a policy file (C2SP tlog-policy).

    Raises:
        ValueError: it cannot be read, is over the limit, is no policy, or can never be met by asking.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.witness_policy_bytes + 1)
        policy = parse_policy(data.decode())
    except (OSError, ValueError) as error:
        raise ValueError(f"the witness policy {path} cannot be used: {error}") from None
    if len(data) > limits.witness_policy_bytes:
        raise ValueError(f"the witness policy {path} has more than {limits.witness_policy_bytes} bytes")
    if not policy.met({witness.name for witness in policy.witnesses if witness.url}):
        raise ValueError(f"the witness policy {path} needs witnesses without a URL: they cannot be asked")
    return policy


def logs_of(policy: WitnessPolicy, reader: Reader) -> list[LogInfo]:
    """The logs that a policy names and this deployment has; keys of others' logs may stand in it too."""
    found = []
    for key in policy.logs:
        log_id = parse_uuid(key.name.rpartition("/")[2])
        info = None if log_id is None else reader.log_by_id(log_id.bytes)
        if info is not None and info.origin == key.name:
            found.append(info)
        else:
            structlog.get_logger().info("the policy names a log of somebody else", origin=key.name)
    return found
