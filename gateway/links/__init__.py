"""Carriers: bytes in, acknowledgements out, nothing else."""
