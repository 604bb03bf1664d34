"""All use cases together, as the HTTP layer gets them."""

from typing import NamedTuple

from indelible.service.access import Access
from indelible.service.appends import Appends
from indelible.service.arrivals import Arrivals
from indelible.service.auditing import Auditing
from indelible.service.events import Events
from indelible.service.evidence import Evidence
from indelible.service.keys import Keys
from indelible.service.logs import Logs
from indelible.service.proofs import Proofs
from indelible.service.rotation import Rotation
from indelible.service.status import Status
from indelible.service.views import Views
from indelible.service.workspaces import Workspaces


class Services(NamedTuple):
    """One of each; all are used on the event loop."""

    access: Access
    logs: Logs
    appends: Appends
    events: Events
    proofs: Proofs
    evidence: Evidence
    views: Views
    keys: Keys
    rotation: Rotation
    workspaces: Workspaces
    auditing: Auditing
    status: Status
    arrivals: Arrivals | None = None  # where other processes change the same store
