"""The rows of rendered files: all their mistakes are told at once, each with its row; and what becomes of them."""

import sys
from pathlib import Path

import pytest

from secrets_actor import ConfigurationError
from secrets_actor.delivery.formats import Formatted
from secrets_actor.delivery.jinja_templates import JinjaTemplate
from secrets_actor.delivery.rendered_file import FileSpec
from secrets_actor.delivery.templates import Template
from secrets_actor.runtime.file_settings import specs_of
from secrets_actor.runtime.settings_loader import load

CANARY = "hunter2-must-not-show"


def loaded(folder: Path, text: str) -> dict[str, FileSpec]:
    path = folder / "files.toml"
    path.write_text(text)
    return specs_of(load(path, {}).settings.file)


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text)
    assert CANARY not in str(caught.value)
    return list(caught.value.mistakes)


def row(text: str) -> str:
    return f'[[file]]\npath = "/run/x"\n{text}\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[file]]\ntext = "x"', "file[0].path: missing; the whole path of the file, from / on"),
        ('[[file]]\npath = "x/y"\ntext = "x"', "file[0].path: missing; the whole path of the file, from / on"),
        ('[[file]]\npath = "~no-such-user-here/y"\ntext = "x"', "file[0].path: "),
        (row('text = "x"') + row('text = "x"'), "file[1].path: the same as that of file[0]"),
        (row(""), "file[0]: one of template, text and format, which says what is in the file"),
        (row('text = "x"\nformat = "json"'), "file[0]: one of template, text and format"),
        (row('format = "xml"'), 'file[0].format: "dotenv", "json", "properties" or "systemd"'),
        (row('format = "json"'), "file[0].secrets: missing; a table of names and references, or prefixes"),
        (row('format = "json"\nprefixes = ["app"]'), "file[0].prefixes: each ends with /, such as app/"),
        (row(f'format = "dotenv"\nsecrets = {{ "{CANARY}" = "x" }}'), "file[0].secrets: each name of a variable"),
        (row(f'format = "json"\nsecrets = {{ A = "{CANARY}#" }}'), "file[0].secrets: NAME, NAME#MEMBER"),
        (row(f'format = "json"\nsecrets = {{ A = "{CANARY} {CANARY}" }}'), "file[0].secrets: "),
        (row('text = "x"\nprefixes = ["app/"]'), "file[0].secrets, file[0].prefixes: only with a format"),
        (row(f'text = "${{{CANARY}"'), "file[0].text: line 1, column 1: a ${ without its }"),
        (row('text = "x"\nmode = "rw"'), 'file[0].mode: an octal mode as text, such as "0440"'),
        (row('text = "x"\nmode = "4755"'), "file[0].mode: an octal mode"),
        (row('text = "x"\nmode = "0040"'), "file[0].mode: an octal mode"),
        (row('text = "x"\nowner = "4294967295"'), "file[0].owner: a name, or a number below 4294967295"),
        (row('text = "x"\ngroup = "99999999999"'), "file[0].group: a name, or a number below 4294967295"),
        (row('text = "x"\nowner = "a\\u0000"'), "file[0].owner: a name, or a number"),
        (row('text = "x"\nsignal = "_DFL"\npid_file = "/x"'), "file[0].signal: the name of a signal without SIG"),
        (row('text = "x"\nsignal = "HUP"\npid_file = "/x\\u0000"'), "file[0].pid_file: no path holds a NUL"),
        ('[[file]]\npath = "/"\ntext = "x"', "file[0].path: missing; the whole path of the file, from / on"),
        ('[[file]]\npath = "/run/a/../x"\ntext = "x"', "file[0].path: without .., which may lead elsewhere"),
        (row('text = "x"\nsignal = "SIGHUP"\npid_file = "/x"'), "file[0].signal: the name of a signal without SIG"),
        (row('text = "x"\nsignal = "HUP"'), "file[0].signal, file[0].pid_file: both or none"),
        (row('text = "x"\npid_file = "/x"'), "file[0].signal, file[0].pid_file: both or none"),
        (
            row('text = "x"\nsignal = "HUP"\npid_file = "/x"\non_change = ["true"]'),
            "file[0].on_change: without a signal; a command can send one",
        ),
        (row('text = "x"\ncheck = "nginx -t"'), "file[0].check: a list with a text for each word"),
        (row('text = "x"\non_change = ["nginx -t"]'), "file[0].on_change: a list with a text for each word"),
        (row('text = "x"\ncommand_seconds = 0'), "file[0].command_seconds: "),
        (row(f'template = "/no/such/{CANARY[:3]}"'), "file[0].template: the template /no/such/hun is not there"),
        (row('template = "/dev/null"'), "file[0].template: the template /dev/null is a device"),
        (row(f'engine = "jinja2"\ntext = "{{{{ {CANARY} }}"'), "file[0].text: line 1: Jinja cannot read this"),
    ],
)
def test_each_mistake_is_told_with_its_row(tmp_path: Path, text: str, told: str) -> None:
    assert [one for one in mistakes(tmp_path, text) if one.startswith(told)]


def test_all_templates_that_cannot_be_read_are_told_at_once(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.template"
    wrong.write_text("a\n${db/x|no}")
    text = f'[[file]]\npath = "/x"\ntemplate = "{wrong}"\n[[file]]\npath = "/y"\ntemplate = "/no/such"\n'

    assert [one.partition(";")[0] for one in mistakes(tmp_path, text)] == [
        "file[0].template: line 2, column 8: no filter of ours",
        "file[1].template: the template /no/such is not there",
    ]


def test_what_rows_become(tmp_path: Path) -> None:
    template = tmp_path / "t"
    template.write_text("${db/x}")
    found = loaded(
        tmp_path,
        f"""
        [[file]]
        path = "/run/plain"
        template = "{template}"
        owner = "1000"
        group = "app"
        mode = "640"
        check = ["true", "{{}}"]
        on_change = ["true"]
        command_seconds = 5
        debounce_seconds = 1
        splay_seconds = 2
        floor_seconds = 3
        [[file]]
        path = "/run/jinja"
        text = "{{{{ secret('db/y') }}}}"
        engine = "jinja2"
        signal = "USR1"
        pid_file = "/run/pid"
        [[file]]
        path = "/run/env"
        format = "dotenv"
        secrets = {{ A = "db/x" }}
        prefixes = ["app/"]
        """,
    )

    plain, jinja, env = found.values()
    assert plain.source == Template.parse("${db/x}")
    assert (plain.owner, plain.group, plain.mode, plain.check) == ("1000", "app", 0o640, ("true", "{}"))
    assert (plain.command_seconds, plain.pace.debounce, plain.pace.splay, plain.pace.floor) == (5.0, 1.0, 2.0, 3.0)
    assert jinja.source == JinjaTemplate.parse("{{ secret('db/y') }}")
    assert (jinja.mode, jinja.signal, jinja.pid_file) == (0o400, "USR1", Path("/run/pid"))
    assert env.source == Formatted.of("dotenv", {"A": "db/x"}, ("app/",))
    assert env.wanted.prefixes == ("app/",)
    assert specs_of(()) == {}


def test_without_jinja_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "secrets_actor.delivery.jinja_templates")

    [told] = mistakes(tmp_path, row('text = "x"\nengine = "jinja2"'))

    assert "pip install 'secrets-actor[templates]'" in told
