"""The API under /api/v1 for machines: released loads, forecasts, bills, completeness, the release log.

`access` says who asks, `models` what is asked and answered; a file for each subject; `routes` puts them together;
`reference` describes them all at /docs. The concentrators' own two addresses are in `ingest/`.
"""
