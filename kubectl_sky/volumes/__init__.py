"""Volumes: what a task wants, what a namespace has, whether the two fit; making, listing and deleting them."""
