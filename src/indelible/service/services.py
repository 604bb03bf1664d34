"""All use cases together, as the HTTP layer gets them, and how each is made of the parts below."""

from collections.abc import Callable
from typing import NamedTuple

from indelible.log.archiver import Archiver
from indelible.log.core import Core
from indelible.log.sampling import Sampler
from indelible.service.access import Access
from indelible.service.answers import Answers
from indelible.service.appends import Appends
from indelible.service.arrivals import Arrivals
from indelible.service.auditing import Auditing
from indelible.service.components import Components
from indelible.service.events import Events
from indelible.service.evidence import Evidence
from indelible.service.headlog import HeadLogCalls
from indelible.service.keys import Keys
from indelible.service.logs import LogMaker, Logs
from indelible.service.proofs import Proofs
from indelible.service.ranges import Ranges
from indelible.service.rotation import Rotation
from indelible.service.status import Status
from indelible.service.views import Views
from indelible.service.wakeups import Wakeups
from indelible.service.workspaces import WorkspaceMaker, Workspaces
from indelible.views.fresh import FreshFolds
from indelible.views.residence import Residence


class Services(NamedTuple):
    """One of each; all are used on the event loop."""

    access: Access
    logs: Logs
    appends: Appends
    events: Events
    proofs: Proofs
    evidence: Evidence
    answers: Answers
    headlog: HeadLogCalls
    views: Views
    keys: Keys
    rotation: Rotation
    workspaces: Workspaces
    auditing: Auditing
    status: Status
    arrivals: Arrivals | None = None  # where other processes change the same store


class Beside(NamedTuple):
    """What runs beside the core, which some use cases reach."""

    components: Components
    residence: Residence
    fresh: FreshFolds
    wakeups: Wakeups
    sampler: Sampler
    archiver: Archiver | None


def make_services(
    core: Core,
    beside: Beside,
    access: Access,
    auditing: Auditing,
    maker: LogMaker,
    database: Callable[[], str | None] = lambda: None,
) -> Services:
    """Make one of each; `database` says why a database that nodes share does not answer."""
    ranges = Ranges(access, core)
    evidence = Evidence(ranges, core, auditing)
    views = Views(access, core, auditing, beside.components, beside.residence)
    answers = Answers(
        access, ranges, core, auditing, views, evidence, components=beside.components, fresh=beside.fresh
    )
    return Services(
        access=access,
        logs=Logs(access, core, maker, auditing),
        appends=Appends(access, core),
        events=Events(access, core, beside.wakeups, auditing),
        proofs=Proofs(ranges, core),
        evidence=evidence,
        answers=answers,
        headlog=HeadLogCalls(ranges, core),
        views=views,
        keys=Keys(access, core, auditing),
        rotation=Rotation(access, core, auditing),
        workspaces=Workspaces(core, WorkspaceMaker(maker)),
        auditing=auditing,
        status=Status(core, beside.sampler, beside.archiver, database),
    )
