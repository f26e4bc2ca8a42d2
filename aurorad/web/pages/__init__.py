"""The scheduler's pages: pure views of the tables, dumb templates, and the blueprint that joins them."""

from aurorad.web.pages.blueprint import scheduler_look, scheduler_pages

__all__ = ["scheduler_look", "scheduler_pages"]
