"""Which tier a job gets (wire sheet, section 1; config-schema sheet, section 11)."""

from __future__ import annotations

import dataclasses

import msgspec

from aurorad.api.results import GetTierConfigResult, TierConfig
from aurorad.jobfile.jobs import JobConfig
from aurorad.jobfile.values import Job


def fill(config: JobConfig, known: GetTierConfigResult) -> JobConfig:
    """The job with `tier` and `production` both set, so that they agree. A tier the cluster does not know is left."""
    tier, production = choose(config.job, known)
    return dataclasses.replace(
        config,
        job=msgspec.structs.replace(config.job, tier=tier, production=production),
        source=config.source(tier=tier, production=production),
    )


def choose(job: Job, known: GetTierConfigResult) -> tuple[str, bool]:
    """The tier's name, and whether the job counts as production."""
    tiers = {tier.name: tier for tier in sorted(known.tiers, key=lambda tier: tier.name)}
    if job.tier is not None:
        tier = tiers.get(job.tier)
        return job.tier, job.production if tier is None else not _is(tier, "preemptible")
    for name, tier in tiers.items():
        if not _is(tier, "revocable") and _is(tier, "preemptible") != job.production:
            return name, job.production
    return known.default_tier_name, job.production


def _is(tier: TierConfig, setting: str) -> bool:
    return tier.settings.get(setting, "false").lower() == "true"
