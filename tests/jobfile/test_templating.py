"""Templates: the sessions at the prompt in the manuals' configuration tutorial, and rules that hold for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pystachio import Float, Integer, List, Map, MustacheParser, Ref, String

from aurorad.jobfile.schema.thermos import Process, Task
from tests.jobfile.evaluating import evaluate, minimal, plain

DEFAULTS = {"daemon": False, "max_failures": 1, "ephemeral": False, "min_duration": 5, "final": False}


def resolved(value: Any) -> Any:
    return plain(value.interpolate()[0])


def test_objects_with_templates_and_without() -> None:
    assert repr(Float(1.5)) == "Float(1.5)"
    assert repr(Float("{{x}}.5")) == "Float({{x}}.5)"
    assert repr(Float("{{x}}.5").bind(x=1)) == "Float(1.5)"
    assert Float("{{x}}.5").bind(x=1) == Float(1.5)
    contextual_object = String("{{metavar{{number}}}}").bind(metavar1="first", metavar2="second")
    assert repr(contextual_object) == "String({{metavar{{number}}}})"
    assert repr(contextual_object.bind(number=1)) == "String(first)"
    assert repr(contextual_object.bind(number=2)) == "String(second)"


def test_a_variable_without_a_value_stays_as_it_is() -> None:
    """The manual says that it is replaced by nothing; it never was."""
    assert String("Hello {{name}}").interpolate() == (String("Hello {{name}}"), [Ref.from_address("name")])
    assert resolved(String("Hello {{name}}").bind({"name": "Tom"})) == "Hello Tom"


@pytest.mark.parametrize("text", ["{{#x}} Testing... {{/x}}", "{{#x}} {{name}} {{/x}}"])
def test_sections_of_mustache_were_never_there(tmp_path: Path, text: str) -> None:
    with pytest.raises(Ref.InvalidRefError):
        String(text).bind(x=True).interpolate()
    with pytest.raises(Exception, match=r"cannot be read: #x\. To have braces .* \(Process at .*, task.processes\[0\]"):
        evaluate(tmp_path, minimal(processes=f"Process(name = 'x', cmdline = '{text}')"))


def test_attributes_have_defaults() -> None:
    assert resolved(Process()) == DEFAULTS
    assert resolved(Process(cmdline="echo {{message}}")) == DEFAULTS | {"cmdline": "echo {{message}}"}
    assert resolved(Process(cmdline="echo {{message}}").bind(message="hello world")) == DEFAULTS | {
        "cmdline": "echo hello world"
    }


def test_children_inherit_bindings() -> None:
    both = List(Process)([Process(name="{{prefix}}_one"), Process(name="{{prefix}}_two")]).bind(prefix="hello")
    assert [process["name"] for process in resolved(both)] == ["hello_one", "hello_two"]


def test_attributes_are_variables_but_variables_are_no_attributes(tmp_path: Path) -> None:
    assert resolved(Process(name="installer", cmdline="echo {{name}} is running"))["cmdline"] == (
        "echo installer is running"
    )
    assert resolved(Process().bind(name="installer")) == DEFAULTS
    with pytest.raises(MustacheParser.Uninterpolatable):
        Process(name="{{name}}").bind(name="installer").interpolate()
    with pytest.raises(Exception, match=r"Maximum replacements reached\. \(Task at .*, task\.name\)"):
        evaluate(tmp_path, minimal(processes="Process(name = '{{name}}', cmdline = 'x').bind(name = 'installer')"))


def test_structs_are_factories() -> None:
    p = Process(name="process_one", cmdline="echo hello world")
    assert resolved(p(name="process_two")) == DEFAULTS | {"name": "process_two", "cmdline": "echo hello world"}
    assert p.name().get() == "process_one"
    daemon = Process(daemon=True)
    logrotate = daemon(name="logrotate", cmdline="./logrotate conf/logrotate.conf")
    assert (logrotate.daemon().get(), logrotate.name().get()) == (True, "logrotate")


def test_bind_takes_dictionaries_and_keywords() -> None:
    assert String("{{foo}}").bind(foo="bar") == String("{{foo}}").bind({"foo": "bar"})


def test_closer_bindings_win() -> None:
    p = Process(name="{{context}}_process")
    t = Task().bind(context="global")
    names = [process["name"] for process in resolved(t(processes=[p, p.bind(context="local")]))["processes"]]
    assert names == ["global_process", "local_process"]


def test_lists_maps_and_structs_may_be_bound() -> None:
    fibonacci = List(Integer)([1, 1, 2, 3, 5, 8, 13])
    assert resolved(String("{{fib[4]}}").bind(fib=fibonacci)) == "5"
    first_names = Map(String, String)({"Kent": "Clark", "Wayne": "Bruce", "Prince": "Diana"})
    assert resolved(String("{{first[Kent]}}").bind(first=first_names)) == "Clark"
    assert resolved(String("{{p.cmdline}}").bind(p=Process(cmdline="echo hello world"))) == "echo hello world"


def test_the_map_as_printed_is_a_set(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"job\.aurora:1: TypeError: unhashable type: 'dict'"):
        evaluate(tmp_path, "Map(String, String) ({{'Kent': 'Clark', 'Wayne': 'Bruce', 'Prince': 'Diana'}})")


def test_where_a_name_is_looked_for() -> None:
    """Own fields, own bindings, then outwards; `self` and `super` say where."""
    process = Process(name="p", cmdline="{{name}} {{self.name}} {{super.name}} {{word}} {{super.word}} {{outer}}")
    task = Task(name="t", processes=[process.bind(word="near")]).bind(word="far", outer="out")
    assert resolved(task)["processes"][0]["cmdline"] == "p p t near far out"
    alone = Task(name="t", processes=[Process(name="{{super.name}}", cmdline="x")])
    assert resolved(alone)["processes"][0]["name"] == "t"


UNHURRIED = settings(max_examples=40)
_names = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
_plain_text = st.text(st.characters(exclude_characters="{}", codec="utf-8"), max_size=20)


@UNHURRIED
@given(_plain_text)
def test_text_without_braces_is_left_alone(text: str) -> None:
    assert resolved(String(text)) == text


@UNHURRIED
@given(st.lists(st.tuples(_plain_text, _names), max_size=6), st.dictionaries(_names, _plain_text))
def test_each_variable_has_its_value_or_stays(parts: list[tuple[str, str]], values: dict[str, str]) -> None:
    template = "".join(f"{text}{{{{{name}}}}}" for text, name in parts)
    expected = "".join(text + values.get(name, f"{{{{{name}}}}}") for text, name in parts)
    value, refs = String(template).bind(values).interpolate()
    assert value.get() == expected
    assert {ref.address() for ref in refs} == {name for _, name in parts} - values.keys()


@UNHURRIED
@given(st.lists(st.tuples(_plain_text, _names), max_size=6), st.dictionaries(_names, _plain_text))
def test_escaped_variables_come_out_as_they_are(parts: list[tuple[str, str]], values: dict[str, str]) -> None:
    template = "".join(f"{text}{{{{&{name}}}}}" for text, name in parts)
    value, refs = String(template).bind(values).interpolate()
    assert value.get() == "".join(f"{text}{{{{{name}}}}}" for text, name in parts)
    assert refs == []


@UNHURRIED
@given(st.lists(st.dictionaries(_names, _plain_text, min_size=1), min_size=1, max_size=4), st.data())
def test_the_latest_binding_wins(scopes: list[dict[str, str]], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted({name for scope in scopes for name in scope})))
    latest = [scope[name] for scope in scopes if name in scope][-1]
    template = String(f"{{{{{name}}}}}")
    assert resolved(template.bind(*scopes)) == latest
    for scope in scopes:
        template = template.bind(scope)
    assert resolved(template) == latest
