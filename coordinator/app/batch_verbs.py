"""The verbs on batches as the command line gets them; commands that only look never load them."""

from __future__ import annotations

from coordinator.adapters.git.removing import remove_worktree
from coordinator.engine.batches.jobs import Done, cancel, clean, start_again
from coordinator.engine.batches.resubmitting import Again, SmokeFailed, resubmit

__all__ = ["Again", "Done", "SmokeFailed", "cancel", "clean", "remove_worktree", "resubmit", "start_again"]
