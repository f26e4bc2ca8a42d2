"""What `aurora_admin` can do: a file for each subject."""
