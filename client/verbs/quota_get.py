"""`aurora quota get` (client-commands sheet, section 9.1)."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from aurorad.api.calls import GetQuota
from aurorad.api.results import GetQuotaResult
from client import amounts, arguments, options
from client.command import Command
from client.errors import Exit
from client.plain import plain
from client.session import Session

_CONSUMPTIONS = (
    ("Production shared pool resources consumed:", "prod_shared_consumption"),
    ("Production dedicated pool resources consumed:", "prod_dedicated_consumption"),
    ("Non-production shared pool resources consumed:", "non_prod_shared_consumption"),
    ("Non-production dedicated pool resources consumed:", "non_prod_dedicated_consumption"),
)


def _declare(parser: ArgumentParser) -> None:
    options.write_json(parser)
    parser.add_argument("role", type=arguments.cluster_role, metavar="CLUSTER/ROLE", help="whose quota")


def _run(given: Namespace, session: Session) -> int:
    cluster, role = given.role
    session.terminal.info(f"Getting quota for: {role}")
    answer = session.scheduler(cluster).ask(GetQuota(role), f"Error retrieving quota for role {role}")
    quota = answer.get_quota_result or GetQuotaResult()
    if given.write_json:
        session.terminal.out(json.dumps(plain(quota)))
        return Exit.OK
    for title, aggregate in [
        ("Allocated:", quota.quota),
        *((title, getattr(quota, field)) for title, field in _CONSUMPTIONS),
    ]:
        if aggregate is not None:
            lines = amounts.describe(aggregate.resources, whole=False)
            session.terminal.out("\n".join([title, *(f"  {line}" for line in lines)]))
    return Exit.OK


GET = Command(_declare, _run)
