"""Help and usage texts above the level of one verb."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from client.nouns import Noun

_USAGE = "usage: aurora [-h] [--version] NOUN VERB [options] ARGUMENTS"
# What the older dialect's `version` printed; the API has not changed its number since.
_API_VERSION = 3


def version(number: str) -> str:
    return f"Aurora client build info:\n\tversion: {number}\nAurora API version: {_API_VERSION}"


def overview(nouns: Mapping[str, Noun]) -> str:
    lines = [_USAGE, "", "commands:"]
    for name, noun in nouns.items():
        lines += [f"  {name:<11} {noun.summary}", *_verbs(noun)]
    lines += [
        f"  {'version':<11} Show the version",
        f"  {'completion':<11} Print what a shell needs to complete all this",
        f"  {'help':<11} Show this, or 'aurora help NOUN VERB' for one command",
    ]
    return "\n".join(lines)


def of_noun(name: str, noun: Noun) -> str:
    usage = f"usage: aurora {name} [-h] VERB [options] ARGUMENTS"
    return "\n".join([usage, "", noun.summary, "", "subcommands:", *_verbs(noun)])


def _verbs(noun: Noun) -> list[str]:
    width = max(map(len, noun.verbs))
    return [f"    {name:<{width}}  {verb.summary}" for name, verb in noun.verbs.items()]


def unknown_noun(word: str, nouns: Mapping[str, Noun]) -> str:
    return f"{_USAGE}\naurora: error: {_unknown(word, [*nouns, 'version', 'help'])}"


def unknown_verb(name: str, noun: Noun, word: str) -> str:
    usage = f"usage: aurora {name} [-h] VERB [options] ARGUMENTS"
    return f"{usage}\naurora {name}: error: {_unknown(word, noun.verbs)}"


def missing_verb(name: str, noun: Noun) -> str:
    usage = f"usage: aurora {name} [-h] VERB [options] ARGUMENTS"
    return f"{usage}\naurora {name}: error: a verb is missing: one of {', '.join(noun.verbs)}"


def _unknown(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    names = list(known)
    close = get_close_matches(word, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(names)} was expected"
    return f"{word!r} is no command: {hint}"
