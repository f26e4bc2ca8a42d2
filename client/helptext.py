"""Help and usage texts above the level of one verb."""

from __future__ import annotations

from collections.abc import Iterable

from client.nouns import NOUNS, Noun

_USAGE = "usage: aurora [-h] [--version] NOUN VERB [options] ARGUMENTS"
# What the older dialect's `version` printed; the API has not changed its number since.
_API_VERSION = 3


def version(number: str) -> str:
    return f"Aurora client build info:\n\tversion: {number}\nAurora API version: {_API_VERSION}"


def overview() -> str:
    lines = [_USAGE, "", "commands:"]
    for name, noun in NOUNS.items():
        lines += [f"  {name:<8} {noun.summary}", *_verbs(noun)]
    lines += [
        f"  {'version':<8} Show the version",
        f"  {'help':<8} Show this, or 'aurora help NOUN VERB' for one command",
    ]
    return "\n".join(lines)


def of_noun(name: str) -> str:
    noun = NOUNS[name]
    usage = f"usage: aurora {name} [-h] VERB [options] ARGUMENTS"
    return "\n".join([usage, "", noun.summary, "", "subcommands:", *_verbs(noun)])


def _verbs(noun: Noun) -> list[str]:
    width = max(map(len, noun.verbs))
    notes = {name: "" if verb.place else " (not yet)" for name, verb in noun.verbs.items()}
    return [f"    {name:<{width}}  {verb.summary}{notes[name]}" for name, verb in noun.verbs.items()]


def unknown_noun(word: str) -> str:
    return f"{_USAGE}\naurora: error: {_unknown(word, [*NOUNS, 'version', 'help'])}"


def unknown_verb(noun: str, word: str) -> str:
    usage = f"usage: aurora {noun} [-h] VERB [options] ARGUMENTS"
    return f"{usage}\naurora {noun}: error: {_unknown(word, NOUNS[noun].verbs)}"


def missing_verb(noun: str) -> str:
    usage = f"usage: aurora {noun} [-h] VERB [options] ARGUMENTS"
    return f"{usage}\naurora {noun}: error: a verb is missing: one of {', '.join(NOUNS[noun].verbs)}"


def _unknown(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    names = list(known)
    close = get_close_matches(word, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(names)} was expected"
    return f"{word!r} is no command: {hint}"
