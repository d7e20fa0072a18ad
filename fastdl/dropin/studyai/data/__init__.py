"""As the course's package of this name: import its modules."""
