"""The JSON API: resources over HTTP for who has no thrift compiler. Each request is one call of the contract.

`route.py` says what a route is; `jobs.py tasks.py updates.py cluster.py operations.py` declare them, `blueprint.py`
serves them, and `openapi.py` describes them, from the same declarations.
"""
