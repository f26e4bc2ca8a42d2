"""The gate that the flags ask for."""

from __future__ import annotations

from typing import NamedTuple

from aurorad.flags import Flags
from aurorad.vars import Vars
from aurorad.web.access import Gate
from aurorad.web.authentication import Authentication, Basic, Mechanism
from aurorad.web.users import Users, UsersFile


class Security(NamedTuple):
    gate: Gate
    users: UsersFile | None
    """To be run: it follows the file."""


def security(flags: Flags, stats: Vars) -> Security:
    """Raises `BadUsers`."""
    path = flags.users_file
    only_hashed = flags.shiro_credentials_matcher == "HASHED"
    file = UsersFile(path, only_hashed=only_hashed) if path is not None else None
    if not flags.secured:
        return Security(Gate(None), file)
    nobody = Users({}, {})

    def users() -> Users:
        return file.users if file is not None else nobody

    mechanisms: dict[str, Mechanism] = {}
    if "BASIC" in flags.http_authentication_mechanism:
        mechanisms["basic"] = Basic(users)
    authentication = Authentication(mechanisms, users, stats)
    run_as = flags.shiro_after_auth_filter == "RUN_AS"
    return Security(Gate(authentication, anonymous_reads=flags.http_anonymous_reads, run_as=run_as), file)
