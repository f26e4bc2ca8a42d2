"""What users have run around calls that change something (client-internals sheet, section 8.1).

A hook is any object with methods `pre_<call>`, `post_<call>`, `err_<call>`, or `generic_hook` for those it lacks. Hooks
of older versions work too: they get what they ask for by name, and nothing they do not take.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response
from client.arguments import JobPath
from client.errors import CommandError, Exit
from client.hook_values import HookConfig, HookJobKey, view
from client.scheduler import messages
from client.session import Session
from client.terminal import Terminal

if TYPE_CHECKING:  # the language takes its time to load, and not every command reads a job
    from client.config import Loaded

# A call, as hooks of 0.5 know it; all that they share is the first argument.
_OLDER_NAMES = {"start_job_update": "update_job"}
_OLDER_ARGUMENTS = {"instances": "shards"}


class Point(NamedTuple):
    """A call that hooks may surround, and what they are told of it, in the order and by the names they know."""

    call: str
    arguments: tuple[object, ...]
    named: Mapping[str, object] = {}
    older: Mapping[str, object] = {}
    """What hooks of 0.5 may ask for besides."""


class HookedCall(NamedTuple):
    """What `generic_hook` gets first."""

    config: HookConfig | None
    job_key: HookJobKey


class RefusedCall(Exception):
    """What `err_` hooks get when the scheduler refused."""


class Hooks:
    """Those around the calls of one command, as they run: first those of the client's build, then the file's."""

    @classmethod
    def given(cls, options: Namespace, path: JobPath, session: Session) -> Hooks:
        """Those of the file in ``--config``, if there is one. Raises `CommandError` if that does not hold the job."""
        if options.config is None:
            return cls.of(session, path, None)
        from client import config

        return cls.of(
            session, path, config.load(Namespace(**vars(options) | {"config_file": options.config}), path, session)
        )

    @classmethod
    def of(cls, session: Session, path: JobPath, loaded: Loaded | None) -> Hooks:
        """`loaded` is the job of the file that was given, if any was."""
        key = HookJobKey.of(path)
        config = HookConfig(key, loaded.sent, loaded.config.source, loaded.hooks) if loaded is not None else None
        own = loaded.hooks if loaded is not None else ()
        every = () if session.without_hooks else (*session.build.hooks, *own)
        return cls(every, HookedCall(config, key), session.terminal)

    def __init__(self, hooks: Sequence[object], about: HookedCall, terminal: Terminal) -> None:
        self._hooks = hooks
        self._about = about
        self._terminal = terminal

    @property
    def config(self) -> HookConfig | None:
        """What the file says, as hooks know it."""
        return self._about.config

    @property
    def key(self) -> HookJobKey:
        return self._about.job_key

    def around(self, point: Point, make: Callable[[], Response]) -> Response:
        """What `make` returns. Raises what it raises, and `CommandError` if a hook is against it."""
        verdicts = [self._run(hook, "pre", point) for hook in self._hooks]  # each runs, whatever the others say
        if not all(verdicts):
            raise CommandError(Exit.FATAL, f"Pre hooks stopped call to {point.call}")
        try:
            response = make()
        except Exception as error:
            self._tell("err", point, error)
            raise
        if response.response_code is ResponseCode.OK:
            self._tell("post", point, view(response))
        else:
            refused = f"APIError: {response.response_code.name}: {messages(response)}"
            self._tell("err", point, RefusedCall(refused))
        return response

    def _tell(self, event: str, point: Point, outcome: object) -> None:
        """It is done: nobody can be against it any more."""
        for hook in self._hooks:
            self._run(hook, event, point, outcome)

    def _run(self, hook: object, event: str, point: Point, *outcome: object) -> bool:
        """Whether the hook agrees, as one without a method for this does."""
        name, run = next(self._methods(hook, event, point, outcome), ("", None))
        if run is None:
            return True
        try:
            agrees = bool(run())
        except Exception:  # it is the user's code that runs here
            where = f"Error in {name} in {type(hook).__name__}"
            self._terminal.warn(f"{where}\n{traceback.format_exc().rstrip()}")
            return False
        self._terminal.debug(f"{name} of {type(hook).__name__} returned {agrees}")
        return agrees

    def _methods(
        self, hook: object, event: str, point: Point, outcome: tuple[object, ...]
    ) -> Iterator[tuple[str, Callable[[], object]]]:
        """Those that this hook has for it; the first one is meant."""
        calls = {point.call: point.arguments}
        if point.call in _OLDER_NAMES:
            calls[_OLDER_NAMES[point.call]] = point.arguments[:1]
        for call, arguments in calls.items():
            name = f"{event}_{call}"
            method = getattr(hook, name, None)
            if method is not None:
                yield name, functools.partial(_call, method, (*outcome, *arguments), point)
        generic = getattr(hook, "generic_hook", None)
        if generic is not None:
            told = (self._about, event, point.call, outcome[0] if outcome else None)
            yield "generic_hook", lambda: generic(*told, point.arguments, dict(point.named))


def _call(method: Callable[..., object], arguments: tuple[object, ...], point: Point) -> object:
    """With as much of it as `method` takes."""
    kinds = inspect.Parameter
    takes = inspect.signature(method).parameters.values()
    in_order = [p for p in takes if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    if not any(p.kind is kinds.VAR_POSITIONAL for p in takes):
        arguments = arguments[: len(in_order)]
    if any(p.kind is kinds.VAR_KEYWORD for p in takes):
        return method(*arguments, **point.named)
    older = {_OLDER_ARGUMENTS[name]: value for name, value in point.named.items() if name in _OLDER_ARGUMENTS}
    known = {**point.older, **older, **point.named}
    left = in_order[len(arguments) :] + [p for p in takes if p.kind is kinds.KEYWORD_ONLY]
    return method(*arguments, **{p.name: known[p.name] for p in left if p.name in known})
