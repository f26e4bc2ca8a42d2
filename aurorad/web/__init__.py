"""HTTP: the thrift endpoint, health and statistics, the pages."""
