"""Job files written for Python 2: what just works, and what is named with what to write today."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.jobfile.errors import ConfigError
from tests.jobfile.evaluating import evaluate, load, minimal, processes


@pytest.mark.parametrize(
    "code",
    [
        "map(str, [1, 2]) + ['3']",
        "filter(None, ['1', '', '2', '3'])",
        "[a + b for a, b in zip(['', '2'], ['1', ''])] + ['3']",
        "map(None, ['1', '2', '3'])",
        "map(unicode, xrange(1, 4))",
        "map(str, [long(1), 2, 3])",
        "reduce(lambda a, b: a + [b], ['1', '2', '3'], [])",
        "[unichr(49), '2', '3'] if isinstance('x', basestring) else []",
        # As in Python 3:
        "[next(map(str, [1])), '2', '3']",
        "list(map(str, range(1, 4)))",
        "[first for first, _ in zip('123', iter(int, 1), strict = False)]",
    ],
)
def test_what_is_different_in_python_3_still_works(tmp_path: Path, code: str) -> None:
    text = f"names = {code}\n" + minimal(processes="*[Process(name = n, cmdline = 'x') for n in names]")
    assert list(processes(evaluate(tmp_path, text))) == ["1", "2", "3"]


@pytest.mark.parametrize(
    "made",
    [
        "(Process(name = n, cmdline = 'x') for n in 'ab')",
        "{n: Process(name = n, cmdline = 'x') for n in 'ab'}.values()",
        "iter([Process(name = n, cmdline = 'x') for n in 'ab'])",
        "map(lambda n: Process(name = n, cmdline = 'x'), 'ab')",
    ],
)
def test_a_list_may_be_made_of_anything_that_was_one(tmp_path: Path, made: str) -> None:
    text = minimal(processes="").replace("processes = []", f"processes = {made}")
    assert list(processes(evaluate(tmp_path, text))) == ["a", "b"]


def test_a_set_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"job\.aurora:1: ValueError: ListContainer expects an iterable, got {'a'}"):
        load(tmp_path, "Constraint(order = {'a'})")


def test_bytes_are_text_where_text_is_wanted(tmp_path: Path) -> None:
    text = minimal().replace("role = 'bozo'", "role = b'bozo'")
    assert evaluate(tmp_path, text).job.role == "bozo"


def test_endless_iterators_end(tmp_path: Path) -> None:
    load(tmp_path, "import itertools\nassert len(map(str, itertools.count())) == 1000000")


@pytest.mark.parametrize(
    ("code", "today"),
    [
        ("print 'x'", "print(...)"),
        ("exec 'x = 1'", "exec(...)"),
        ("raise ValueError, 'x'", "raise Error('text')"),
        ("try:\n    pass\nexcept ValueError, e:\n    pass", "except Error as name:"),
        ("x = 1 <> 2", "!="),
        ("x = `1`", "repr(...)"),
        ("import os\nos.chmod('x', 0700)", "0o700 for octal 0700"),
        ("x = 10L", "numbers without L"),
        ("x = ur'x'", "r'...'"),
        ("f = lambda (a, b): a", "arguments without parentheses"),
        ("execfile('x')", "include('file') runs another file"),
        ("cmp(1, 2)", "(a > b) - (a < b)"),
        ("file('x')", "open(...)"),
        ("{}.has_key(1)", "key in the_dict"),
        ("{}.iteritems()", ".items()"),
        ("range(4 / 2)", "// divides whole numbers, / gives a float"),
        ("range(4) + [1]", "list(...) around the range"),
        ("{}.keys() + [1]", "list(...) around the dict_keys"),
        ("{}.keys()[0]", "list(...) around the dict_keys"),
        ("import hashlib\nhashlib.md5('x')", "'text'.encode()"),
        ("'x' + b'x'", ".decode() makes text of bytes"),
        ("String('{{x}}').bind(x = b'x')", ".decode() makes text of bytes"),
        ("import urllib2", "urllib.request"),
        ("import ConfigParser", "configparser"),
        ("from StringIO import StringIO", "io.StringIO"),
    ],
)
def test_what_does_not_work_is_named_with_what_to_write(tmp_path: Path, code: str, today: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, code)
    assert str(caught.value).startswith(f"{tmp_path}/job.aurora:")
    assert str(caught.value).endswith(f"(in Python 3: {today})")
    assert "\n" not in str(caught.value)


def test_backslashes_that_mean_nothing_are_no_matter(tmp_path: Path) -> None:
    assert load(tmp_path, r"x = '\d'").jobs == ()
