"""The structs a job file may use, as Pystachio declares them."""

# Before any struct is declared: how structs and lists behave.
from aurorad.jobfile.schema import kinds as _kinds  # noqa: F401
