"""The verbs of the job runner as the command line gets them; commands that only read never load them."""

from __future__ import annotations

from coordinator.adapters.system.pidfile import NoPidfile, PidfileHeld
from coordinator.engine.jobs.batch import Launched, start_all
from coordinator.engine.jobs.desk import Desk, NotOurs, Refused
from coordinator.engine.jobs.editing import prune, set_override, unblock
from coordinator.engine.jobs.ending import Ended, finalize, stop
from coordinator.engine.jobs.restarting import Again, restart
from coordinator.engine.jobs.starting import Order, Started, start
from coordinator.engine.jobs.watching import Watch, Watchdog
from coordinator.planning.watchdog import Orders
from coordinator.ports import JobBusy, LaunchFailed, WatchdogRuns
from coordinator.runfiles.names import ForeignFolder

__all__ = [
    "Again", "Desk", "Ended", "ForeignFolder", "JobBusy", "LaunchFailed", "Launched", "NoPidfile", "NotOurs", "Order",
    "Orders", "PidfileHeld", "Refused", "Started", "Watch", "Watchdog", "WatchdogRuns",
    "finalize", "prune", "restart", "set_override", "start", "start_all", "stop", "unblock",
]  # fmt: skip
