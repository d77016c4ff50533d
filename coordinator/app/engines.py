"""What the engine needs of a configuration: the settings that decisions are made by, and those of effects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coordinator.config import Config
    from coordinator.domain.room import Floors
    from coordinator.engine.contacts import Contacts
    from coordinator.engine.world import Options
    from coordinator.planning.policy import HostRules, Policy


def policy_of(config: Config, provider: str = "") -> Policy:
    """What decisions need of the configuration; `provider` is the template's word, which goes first."""
    from coordinator.adapters.providers import PROVIDERS
    from coordinator.planning.batch.cohort import Bands
    from coordinator.planning.policy import LabelNames, Policy

    labels = config.labels
    return Policy(
        provider=provider or config.workers.provider,
        template=config.workers.template,
        workflow=config.workers.workflow,
        max_workers=config.workers.max,
        provider_caps={name: section.max for name, section in config.providers.items() if section.max},
        label_caps=dict(config.caps.labels),
        providers=frozenset(PROVIDERS),
        fallback=dict(config.fallback),
        sessions_per_task=config.caps.sessions_per_task,
        tokens_per_task=config.caps.tokens_per_task,
        money_per_task=config.caps.money_per_task,
        sessions_per_day=config.caps.sessions_per_day,
        money_per_day=config.caps.money_per_day,
        retry_max=config.retry.max,
        backoff=config.retry.backoff,
        backoff_max=config.retry.backoff_max,
        poll=config.poll.interval,
        tidy_after=config.retention.worktrees_after_merge,
        start_grace=config.workers.grace,
        stall=config.workers.stall,
        no_mutation=config.workers.no_mutation,
        idle_cpu=config.workers.idle_cpu,
        push_wip=config.worktree.push_wip,
        respect_assignee=config.trust.respect_assignee,
        bands=Bands(config.batch.watch, config.batch.systemic, config.batch.min_ended, config.batch.min_same),
        batch_label=config.batch.label,
        trust_users=frozenset(config.trust.users),
        trust_bots=frozenset(config.trust.bots),
        permission=config.trust.permission,
        ages=dict(config.notify.ages),
        executor=config.workers.executor,
        hosts=_hosts(config),
        lease=config.workers.lease,
        floors=floors_of(config),
        labels=LabelNames(**{name: getattr(labels, name) for name in LabelNames.__dataclass_fields__}),
    )


def floors_of(config: Config) -> Floors:
    """Below which room nothing new is started."""
    from coordinator.domain.room import Floor, Floors

    told = config.floors
    return Floors(Floor(told.disk.least, told.disk.percent), Floor(told.inodes.least, told.inodes.percent),
                  told.memory, told.load)


def _hosts(config: Config) -> dict[str, HostRules]:
    """Those that take tasks; Slurm is one of them where it is used."""
    from coordinator.app.executors import uses_slurm
    from coordinator.domain.worker import SLURM
    from coordinator.planning.policy import HostRules

    found = {name: HostRules(host.slots, frozenset(host.labels), host.default, host.shared)
             for name, host in config.hosts.items()}
    if uses_slurm(config):
        found[SLURM] = HostRules(config.slurm.max, frozenset(config.slurm.labels), shared=config.slurm.shared)
    return found


def contacts_of(config: Config) -> Contacts:
    """Who is told what wants a person."""
    from coordinator.engine.contacts import Contacts

    return Contacts(config.notify.command, tuple(config.notify.urls))


def options_of(config: Config, environ: Mapping[str, str]) -> Options:
    """What effects need of the configuration and of our own environment."""
    from coordinator.app import provider_settings
    from coordinator.app.walls import sandbox_of
    from coordinator.engine.world import Options
    from coordinator.planning.plans.commits import Strictness
    from coordinator.planning.protection import Protection
    from coordinator.planning.retention import Ages

    tree, held = config.worktree, config.retention
    return Options(
        timeout=config.workers.timeout,
        stop_grace=config.workers.stop_grace,
        copy=tuple(tree.copy),
        after_create=tree.after_create,
        before_run=tree.before_run,
        after_run=tree.after_run,
        before_remove=tree.before_remove,
        hook_timeout=tree.hook_timeout,
        base=config.repository.base,
        providers=provider_settings(config),
        contacts=contacts_of(config),
        ages=Ages(held.transcripts, held.run_files, held.rescue),
        reserve=config.poll.reserve,
        agents=Path(config.plans.worktrees).expanduser(),
        validation_timeout=config.plans.validation_timeout,
        sandbox=sandbox_of(config, environ),
        strictness=Strictness(config.plans.outside, config.plans.trailers, config.plans.pushed),
        protection=Protection(tuple(config.protect.paths), config.protect.mode),
    )
