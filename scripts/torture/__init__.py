"""What the concentrator must survive: power cuts, kills, hostile frames, failing disks. `python -m scripts.torture`."""
