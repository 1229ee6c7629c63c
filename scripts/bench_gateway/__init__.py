"""`make bench-gateway`: what one concentrator sustains, measured on the real daemon over TCP."""
