"""The loops that keep the cluster as the rules say, and the calls that change what it should be."""
