"""Deployment: the files that put a server behind nginx, and whether they are right."""
