"""Managed jobs: launched, watched and ended from here; they go on without us."""
