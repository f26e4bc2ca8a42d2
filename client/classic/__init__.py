"""The verb-only dialect of Aurora 0.5: its words and what it prints, over the code of the commands of today."""
