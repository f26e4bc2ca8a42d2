"""The enums and constants of the API, with the values they have on the wire (thrift-api sheet)."""

from enum import IntEnum


class ResponseCode(IntEnum):
    INVALID_REQUEST = 0
    OK = 1
    ERROR = 2
    WARNING = 3
    AUTH_FAILED = 4
    JOB_UPDATING_ERROR = 5
    ERROR_TRANSIENT = 6


class MaintenanceMode(IntEnum):
    NONE = 1
    SCHEDULED = 2
    DRAINING = 3
    DRAINED = 4


class Mode(IntEnum):
    RW = 1
    RO = 2


class CronCollisionPolicy(IntEnum):
    KILL_EXISTING = 0
    CANCEL_NEW = 1
    RUN_OVERLAP = 2


class ScheduleStatus(IntEnum):
    INIT = 11
    THROTTLED = 16
    PENDING = 0
    ASSIGNED = 9
    STARTING = 1
    RUNNING = 2
    FINISHED = 3
    PREEMPTING = 13
    RESTARTING = 12
    DRAINING = 17
    FAILED = 4
    KILLED = 5
    KILLING = 6
    LOST = 7
    PARTITIONED = 18


class JobUpdateStatus(IntEnum):
    ROLLING_FORWARD = 0
    ROLLING_BACK = 1
    ROLL_FORWARD_PAUSED = 2
    ROLL_BACK_PAUSED = 3
    ROLLED_FORWARD = 4
    ROLLED_BACK = 5
    ABORTED = 6
    ERROR = 7
    FAILED = 8
    ROLL_FORWARD_AWAITING_PULSE = 9
    ROLL_BACK_AWAITING_PULSE = 10


class JobUpdateAction(IntEnum):
    INSTANCE_UPDATED = 1
    INSTANCE_ROLLED_BACK = 2
    INSTANCE_UPDATING = 3
    INSTANCE_ROLLING_BACK = 4
    INSTANCE_UPDATE_FAILED = 5
    INSTANCE_ROLLBACK_FAILED = 6


class JobUpdatePulseStatus(IntEnum):
    OK = 1
    FINISHED = 2


AURORA_EXECUTOR_NAME = "AuroraExecutor"

ACTIVE_STATES: frozenset[ScheduleStatus] = frozenset(
    {
        ScheduleStatus.ASSIGNED,
        ScheduleStatus.DRAINING,
        ScheduleStatus.KILLING,
        ScheduleStatus.PENDING,
        ScheduleStatus.PREEMPTING,
        ScheduleStatus.RESTARTING,
        ScheduleStatus.RUNNING,
        ScheduleStatus.STARTING,
        ScheduleStatus.PARTITIONED,
        ScheduleStatus.THROTTLED,
    }
)

SLAVE_ASSIGNED_STATES: frozenset[ScheduleStatus] = frozenset(
    {
        ScheduleStatus.ASSIGNED,
        ScheduleStatus.DRAINING,
        ScheduleStatus.KILLING,
        ScheduleStatus.PREEMPTING,
        ScheduleStatus.RESTARTING,
        ScheduleStatus.RUNNING,
        ScheduleStatus.PARTITIONED,
        ScheduleStatus.STARTING,
    }
)

LIVE_STATES: frozenset[ScheduleStatus] = frozenset(
    {
        ScheduleStatus.KILLING,
        ScheduleStatus.PREEMPTING,
        ScheduleStatus.RESTARTING,
        ScheduleStatus.DRAINING,
        ScheduleStatus.PARTITIONED,
        ScheduleStatus.RUNNING,
    }
)

TERMINAL_STATES: frozenset[ScheduleStatus] = frozenset(
    {
        ScheduleStatus.FAILED,
        ScheduleStatus.FINISHED,
        ScheduleStatus.KILLED,
        ScheduleStatus.LOST,
    }
)

GOOD_IDENTIFIER_PATTERN = "^[\\w\\-\\.]+$"

GOOD_IDENTIFIER_PATTERN_JVM = "^[\\w\\-\\.]+$"

GOOD_IDENTIFIER_PATTERN_PYTHON = "^[\\w\\-\\.]+$"

ACTIVE_JOB_UPDATE_STATES: frozenset[JobUpdateStatus] = frozenset(
    {
        JobUpdateStatus.ROLLING_FORWARD,
        JobUpdateStatus.ROLLING_BACK,
        JobUpdateStatus.ROLL_FORWARD_PAUSED,
        JobUpdateStatus.ROLL_BACK_PAUSED,
        JobUpdateStatus.ROLL_FORWARD_AWAITING_PULSE,
        JobUpdateStatus.ROLL_BACK_AWAITING_PULSE,
    }
)

AWAITNG_PULSE_JOB_UPDATE_STATES: frozenset[JobUpdateStatus] = frozenset(
    {
        JobUpdateStatus.ROLL_FORWARD_AWAITING_PULSE,
        JobUpdateStatus.ROLL_BACK_AWAITING_PULSE,
    }
)

BYPASS_LEADER_REDIRECT_HEADER_NAME = "Bypass-Leader-Redirect"

TASK_FILESYSTEM_MOUNT_POINT = "taskfs"
