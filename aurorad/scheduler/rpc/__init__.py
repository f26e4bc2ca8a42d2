"""What each call of the API does."""
