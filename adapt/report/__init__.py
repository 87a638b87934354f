"""The report of one adaptation: its files, its page, and a few lines for the terminal."""
