"""What all pages share, the scheduler's and the observer's: look, wording of times and sizes, colours, paging."""
