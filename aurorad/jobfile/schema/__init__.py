"""The structs a job file may use, as Pystachio declares them."""
