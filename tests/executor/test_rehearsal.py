"""Forks find what they need ready."""

import os
import threading

from aurorad.api import binary, binary_reader
from aurorad.api.tasks import AssignedTask
from executor.rehearsal import rehearse


def test_after_a_rehearsal_no_codec_of_a_task_is_left_to_be_made() -> None:
    rehearse()
    made = binary_reader._struct_reader.cache_info().misses
    assert binary.decode(AssignedTask, binary.encode(AssignedTask(task_id="a"))).task_id == "a"
    assert binary_reader._struct_reader.cache_info().misses == made


def test_a_rehearsal_leaves_no_thread_and_no_open_file() -> None:
    rehearse()
    threads, files = threading.active_count(), os.listdir("/proc/self/fd")
    rehearse()
    assert (threading.active_count(), os.listdir("/proc/self/fd")) == (threads, files)
