"""A newcomer's hour: what is typed, what the terminal shows, and that it still does."""
