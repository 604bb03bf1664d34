"""The parts of the log, composed once and handed to the use cases together."""

from typing import NamedTuple

from indelible.log.commit import Committer
from indelible.log.gate import Gate
from indelible.log.headlog import HeadLog
from indelible.log.heads import Heads
from indelible.log.keyring import Keyring
from indelible.log.lanes import Lanes
from indelible.log.prove import Prover
from indelible.log.publish import Publisher
from indelible.log.read import EventReader
from indelible.log.signers import Signers
from indelible.log.witnesses import Witnesses
from indelible.model.clock import Clock, Randomness
from indelible.model.limits import Limits
from indelible.store.base import Reader
from indelible.store.objects import Objects


class Core(NamedTuple):
    """Everything below the use cases. `app` builds it; tests may build it with other clocks and stores."""

    deployment: str
    reader: Reader
    objects: Objects
    events: EventReader
    heads: Heads
    signers: Signers
    keys: Keyring
    prover: Prover
    publisher: Publisher
    gate: Gate
    committer: Committer
    lanes: Lanes
    headlog: HeadLog
    witnesses: Witnesses | None
    limits: Limits
    clock: Clock
    randomness: Randomness
