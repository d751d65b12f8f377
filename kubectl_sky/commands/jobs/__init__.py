"""kubectl sky jobs ..."""
