"""Hooks around whole commands (client-internals sheet, section 8.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from client.build import CommandHook, Context
from client.errors import CommandError, Exit


def surrounded(
    noun: str, verb: str, context: Context, arguments: Sequence[str], skip: str | None, run: Callable[[], int]
) -> int:
    """The exit status: of `run`, or of what is against running it."""
    session = context.session
    hooks = _selected(session.build.command_hooks, noun, verb, skip)
    for plugin in session.build.plugins:
        try:
            plugin.before_execution(context)
        except CommandError as error:
            raise CommandError(error.code, f"Error in configuration plugin before execution: {error}") from error
    for hook in hooks:
        code = hook.pre_command(noun, verb, context, arguments)
        if code != Exit.OK:
            session.terminal.out(f"Command aborted by command hook {hook.name} with error code {code}")
            return code
    result = run()
    if result == Exit.OK:
        for hook in hooks:
            hook.post_command(noun, verb, context, arguments, result)
    for plugin in session.build.plugins:
        try:
            plugin.after_execution(context, result)
        except CommandError as error:
            session.terminal.warn(f"Error in configuration plugin after execution: {error}")
    return result


def _selected(hooks: Sequence[CommandHook], noun: str, verb: str, skip: str | None) -> list[CommandHook]:
    skipped = [name.strip() for name in (skip or "").split(",")]
    if "all" in skipped:
        return []
    return [
        hook for hook in hooks if hook.name not in skipped and noun in hook.get_nouns() and verb in hook.get_verbs(noun)
    ]
