"""Schedulers as they are in earnest: real processes and ZooKeepers, each on a machine of its own to the network."""
