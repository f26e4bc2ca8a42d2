import pytest

from aurorad.pages.paging import Here, paginate


def test_a_page_holds_its_share_of_the_rows() -> None:
    page = paginate(range(60), 2)
    assert page.rows == tuple(range(25, 50))
    assert (page.first_row, page.last_row, page.total, page.last) == (26, 50, 60, 3)


@pytest.mark.parametrize(("asked", "given"), [(-5, 1), (0, 1), (3, 3), (99, 3)])
def test_a_page_that_there_is_not_becomes_the_nearest(asked: int, given: int) -> None:
    assert paginate(range(60), asked).number == given


def test_nothing_is_one_empty_page() -> None:
    page = paginate(range(0), 7)
    assert (page.rows, page.number, page.last, page.first_row, page.last_row) == ((), 1, 1, 0, 0)


def test_four_neighbours_are_offered_either_side() -> None:
    assert list(paginate(range(1000), 10).near) == list(range(6, 15))
    assert list(paginate(range(1000), 1).near) == list(range(1, 6))


def test_another_filter_or_order_starts_at_the_first_page() -> None:
    here = Here("/x", {"q": "web", "page": "7"})
    assert here.url(page=8) == "/x?q=web&page=8"
    assert here.url(sort="jobs") == "/x?q=web&sort=jobs"
    assert here.url(q=None) == "/x"


@pytest.mark.parametrize("text", ["", "x", "-1", "1e3", "٣", "9" * 50])
def test_a_page_number_that_is_none_counts_as_not_given(text: str) -> None:
    assert Here("/x", {"page": text}).number("page", 1) == 1


def test_addresses_are_quoted() -> None:
    assert Here("/a b", {}).url(q='"><script>') == "/a%20b?q=%22%3E%3Cscript%3E"
