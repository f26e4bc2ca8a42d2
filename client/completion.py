"""``aurora completion SHELL``: what a shell needs to complete commands and options. Other words are names of files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from client.described import Described, Option, Program, long_names


def bash(program: Program) -> str:
    name, function = program.name, f"_{program.name}"
    lines = [
        f"# bash completion for {name}",
        f"{function}() {{",
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=",
        "    case $COMP_CWORD in",
        f"        1) words='{' '.join(first_words(program))}' ;;",
        *_bash_seconds(program),
        "    esac",
        '    if [ -z "$words" ]; then',
        '        case "${COMP_WORDS[1]} ${COMP_WORDS[2]} $prev" in',
        *_bash_choices(program),
        "        esac",
        "    fi",
        '    if [ -z "$words" ] && [ "${cur:0:1}" = - ]; then',
        '        case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in',
        *(f"            {_bash_pattern(one)}) words='{' '.join(_options(one))}' ;;" for one in program.commands),
        "        esac",
        "    fi",
        '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "}",
        f"complete -o default -F {function} {name}",
    ]
    return "\n".join(lines) + "\n"


def _bash_seconds(program: Program) -> Iterator[str]:
    if program.groups:
        yield "        2) case $prev in"
        for group, _ in program.groups:
            yield f"            {group}) words='{' '.join(one.words[1] for one in _of(program, group))}' ;;"
        yield "        esac ;;"


def _bash_choices(program: Program) -> Iterator[str]:
    for command in program.commands:
        for option in command.options:
            if option.choices:
                names = "|".join(f"{_bash_pattern(command)}\\ {name}" for name in option.names)
                yield f"            {names}) words='{' '.join(option.choices)}' ;;"


def _bash_pattern(command: Described) -> str:
    return "\\ ".join(command.words) + ("" if len(command.words) == 2 else "\\ *")


def zsh(program: Program) -> str:
    lines = [f"#compdef {program.name}", "", f"_{program.name}() {{", "    local -a words_here", "    case $CURRENT in"]
    first = [(one.words[0], one.summary) for one in program.commands if len(one.words) == 1]
    lines.append(f"        2) words_here=({_zsh_items([*program.groups, *first])}); _describe command words_here ;;")
    if program.groups:
        lines.append("        3) case $words[2] in")
        for group, _ in program.groups:
            items = _zsh_items((one.words[1], one.summary) for one in _of(program, group))
            lines.append(f"            {group}) words_here=({items}); _describe command words_here ;;")
        lines += ["            *) _options_of ;;", "        esac ;;"]
    lines += ["        *) _options_of ;;", "    esac", "}", "", "_options_of() {", '    case "$words[2] $words[3]" in']
    for command in program.commands:
        specs = " ".join(_zsh_option(option) for option in command.options)
        lines.append(f"        {_bash_pattern(command)}) _arguments {specs} '*:file:_files' ;;")
    lines += ["        *) _files ;;", "    esac", "}", "", f"compdef _{program.name} {program.name}"]
    return "\n".join(lines) + "\n"


def _zsh_items(items: Iterable[tuple[str, str]]) -> str:
    return " ".join(_quoted(f"{word}:{_plain(summary)}") for word, summary in items)


def _zsh_option(option: Option) -> str:
    what = f"[{_plain(option.help)}]"
    value = "" if option.value is None else f":{_plain(option.value)}:"
    if option.choices:
        value += f"({' '.join(option.choices)})"
    elif option.value is not None:
        value += "_files"
    return " ".join(_quoted(f"*{name}{what}{value}") for name in option.names)


def fish(program: Program) -> str:
    name = program.name
    lines = [f"# fish completion for {name}"]
    first = [(one.words[0], one.summary) for one in program.commands if len(one.words) == 1]
    for word, summary in [*program.groups, *first]:
        lines.append(f"complete -c {name} -f -n __fish_use_subcommand -a {word} -d {_quoted(_plain(summary))}")
    for command in program.commands:
        if len(command.words) == 2:
            group, verb = command.words
            seen = f"__fish_seen_subcommand_from {group}; and test (count (commandline -opc)) -eq 2"
            about = _quoted(_plain(command.summary))
            lines.append(f"complete -c {name} -f -n {_quoted(seen)} -a {verb} -d {about}")
        here = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in command.words)
        for option in command.options:
            flags = " ".join(f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in option.names)
            takes = "" if option.value is None else " -r"
            if option.choices:
                takes = f" -x -a {_quoted(' '.join(option.choices))}"
            lines.append(f"complete -c {name} -n {_quoted(here)} {flags}{takes} -d {_quoted(_plain(option.help))}")
    return "\n".join(lines) + "\n"


def first_words(program: Program) -> list[str]:
    """What may stand behind the program's name."""
    alone = [one.words[0] for one in program.commands if len(one.words) == 1]
    return list(dict.fromkeys([*(group for group, _ in program.groups), *alone]))


def _of(program: Program, group: str) -> list[Described]:
    return [one for one in program.commands if len(one.words) == 2 and one.words[0] == group]


def _options(command: Described) -> list[str]:
    return [name for option in command.options for name in long_names(option)]


def _plain(text: str) -> str:
    """Without what shells and zsh's own little language take for theirs."""
    return re.sub(r"[\[\]:'\"\\`$]", " ", " ".join(text.split())).strip()


def _quoted(text: str) -> str:
    return f"'{text}'"


SHELLS: dict[str, Callable[[Program], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
