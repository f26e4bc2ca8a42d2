"""A Mesos cluster as the engine, by the v1 scheduler API."""
