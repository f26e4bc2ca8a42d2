"""Options that several verbs share (client-commands sheet, section 4)."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from client import arguments

_MOST = (1 << 31) - 1  # that can be sent


def job_key(parser: ArgumentParser) -> None:
    parser.add_argument("job", type=arguments.job_path, metavar="CLUSTER/ROLE/ENV/NAME", help="the job")


def job_instances(parser: ArgumentParser) -> None:
    parser.add_argument(
        "job",
        type=arguments.job_instances,
        metavar="CLUSTER/ROLE/ENV/NAME[/INSTANCES]",
        help="the job, and instances of it such as 0,2,5-7; all without",
    )


def config_file(parser: ArgumentParser) -> None:
    parser.add_argument("config_file", type=Path, metavar="pathname", help="the job file")


def reading(parser: ArgumentParser) -> None:
    """How a job file is read."""
    parser.add_argument(
        "--bind",
        "-E",  # as it was called until 0.5
        type=arguments.binding,
        action="append",
        default=[],
        metavar="var=value",
        help="give a template variable a value; may be repeated",
    )
    parser.add_argument("--read-json", action="store_true", help="the job file is JSON")


def optional_config(parser: ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="pathname", help="a job file, for its hooks")
    reading(parser)


def write_json(parser: ArgumentParser) -> None:
    parser.add_argument("--write-json", action="store_true", help="print JSON")


def dry_run(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would happen now, and do nothing")


def open_browser(parser: ArgumentParser) -> None:
    parser.add_argument("-o", "--open-browser", action="store_true", help="open the page in a browser")


def wait_until(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--wait-until",
        choices=("PENDING", "RUNNING", "FINISHED"),
        default="PENDING",
        help="return when all instances got there (PENDING)",
    )


def batches(parser: ArgumentParser) -> None:
    parser.add_argument("--batch-size", type=positive, default=1, metavar="N", help="instances at a time (1)")
    parser.add_argument("--max-total-failures", type=int, default=0, metavar="N", help="failures to put up with (0)")


def no_batching(parser: ArgumentParser) -> None:
    parser.add_argument("--no-batching", action="store_true", help="all instances at once")


def strict(parser: ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="refuse instances that are not active")


def message(parser: ArgumentParser, most: int | None = None) -> None:
    """A note of `most` characters."""

    def note(text: str) -> str:
        if most is not None and len(text) > most:
            raise ArgumentTypeError(f"the note has {len(text)} characters: {most} at most were expected")
        return text

    parser.add_argument("-m", "--message", type=note, metavar="TEXT", help="a note kept with the change")


def update_message(parser: ArgumentParser) -> None:
    """A note as long as schedulers keep it with an update (updates sheet, section 3)."""
    message(parser, 1024)


def poll_interval(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--healthcheck-interval-seconds", type=positive, default=3, metavar="N", help="seconds between looks (3)"
    )


def ssh(parser: ArgumentParser) -> None:
    parser.add_argument("-l", "--ssh-user", metavar="USER", help="who to log in as (the job's role)")
    parser.add_argument(
        "--ssh-options", type=str.split, default=[], metavar="'OPTIONS'", help="more options for ssh, in one argument"
    )


def executor_sandbox(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-e", "--executor-sandbox", action="store_true", help="in the executor's folder instead of the task's sandbox"
    )


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}: a whole number of 1 or more was expected")
    if int(text) > _MOST:
        raise ArgumentTypeError(f"{text!r}: {_MOST} at most was expected")
    return int(text)
