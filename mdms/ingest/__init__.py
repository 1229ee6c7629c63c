"""Ingest: accepts signed reports, once (protocol, chapter 6).

`judgement` decides on one document, purely; `admission` enters a batch in one transaction; `routes` is the door.
"""
