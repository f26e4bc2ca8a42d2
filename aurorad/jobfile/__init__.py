"""The .aurora language."""
