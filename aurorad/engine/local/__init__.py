"""This machine as an engine of one agent: `engine.LocalEngine`."""
