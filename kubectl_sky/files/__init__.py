"""Local files on their way into pods."""
