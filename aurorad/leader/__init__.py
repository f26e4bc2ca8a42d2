"""Which scheduler leads: ZooKeeper's election, and who may know of it."""
