"""One module per verb, or per few verbs that do nearly the same."""
